import type { Limits } from "@wardmq/feed";
import type { Exchange } from "@wardmq/policy/compile";
import type { MemoryBudget } from "../connection/memory-budget.ts";
import { Timed, type TimingWheel } from "../connection/timing-wheel.ts";

/** What a command and its answer are known by. */
export interface ExchangedMessage {
  readonly topic: { readonly name: string };
  readonly responseTopic: string | undefined;
  readonly correlationData: Buffer | undefined;
}

/** Why a message may be no command, or no answer. */
export interface ExchangeFault {
  readonly check: string;
  readonly why: string;
}

/** The longest Correlation Data of a command, in bytes. */
const correlationBytes = 128;
/** How many answered and late commands are remembered, to say so of a further answer. */
const remembered = 4_096;
/** What one is counted for beside its key, measured on both runtimes and rounded up. */
const commandBytes = 768;

/** A command that a device was sent and has not answered. Due when its time is over. */
export class OpenCommand extends Timed {
  /** Where its answer goes and what it carries: no two open commands have the same. */
  readonly key: string;
  /** The subject that sent it, and the only one that gets the answer. */
  readonly requester: string;
  readonly device: string;
  readonly withinMs: number;
  readonly #late: (command: OpenCommand) => void;

  constructor(
    key: string,
    requester: string,
    { device, withinMs }: Exchange,
    late: (command: OpenCommand) => void,
  ) {
    super();
    this.key = key;
    this.requester = requester;
    this.device = device;
    this.withinMs = withinMs;
    this.#late = late;
  }

  override due(): void {
    this.#late(this);
  }

  get bytes(): number {
    return commandBytes + 2 * this.key.length;
  }
}

export interface OpenCommandsParts {
  readonly wheel: TimingWheel;
  readonly budget: MemoryBudget;
  readonly limits: () => Limits;
}

/**
 * The commands that wait for an answer:
 *
 *     (a command is taken) open -> (its device answers) answered
 *                               -> (its time is over)   late
 *
 * They end with the process: after a restart every answer is one that nobody waits for.
 */
export class OpenCommands {
  readonly #parts: OpenCommandsParts;
  readonly #open = new Map<string, OpenCommand>();
  readonly #ended = new Map<string, "second" | "late">();
  readonly #perSubject = new Map<string, number>();

  constructor(parts: OpenCommandsParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#open.size;
  }

  /** The command that a message on this topic would open. One that is sent again, `isDup`, is the one that is open. */
  command(
    requester: string,
    exchange: Exchange,
    message: ExchangedMessage,
    isDup: boolean,
  ): OpenCommand | ExchangeFault {
    const fault =
      exchange.responseTopic === undefined
        ? faultOfProperties(exchange, message)
        : faultOfTopic(message);
    if (fault !== undefined) return fault;
    const key = keyOf(exchange.responseTopic ?? message.responseTopic ?? "", message);
    const open = this.#open.get(key);
    if (open === undefined) {
      return new OpenCommand(key, requester, exchange, (command) => this.#end(command, "late"));
    }
    if (isDup && open.requester === requester) return open;
    return { check: "correlation-in-use", why: "another command with this correlation is open" };
  }

  /** The open command that a message on this topic answers. */
  answered(
    responder: string,
    { device }: Exchange,
    message: ExchangedMessage,
  ): OpenCommand | ExchangeFault {
    if (responder !== device) {
      return { check: "crossed", why: "only the device that was sent the command may answer it" };
    }
    const key = keyOf(message.topic.name, message);
    const open = this.#open.get(key);
    if (open !== undefined) return open;
    const check = this.#ended.get(key) ?? "unsolicited";
    return { check, why: endings[check] };
  }

  /** The limit that one more breaks, or nothing. */
  limitFor(command: OpenCommand): string | undefined {
    if (this.#open.has(command.key)) return undefined;
    const limits = this.#parts.limits();
    if (this.#open.size >= limits.openCommands) return "openCommands";
    if (this.#countOf(from(command)) >= limits.openCommandsPerRequester) {
      return "openCommandsPerRequester";
    }
    if (this.#countOf(to(command)) >= limits.openCommandsPerDevice) return "openCommandsPerDevice";
    return this.#parts.budget.isOver ? "memoryBytes" : undefined;
  }

  /** It was taken: its time runs. */
  open(command: OpenCommand): void {
    const { key } = command;
    if (this.#open.has(key)) return;
    this.#open.set(key, command);
    this.#ended.delete(key);
    this.#count(command, 1);
    this.#parts.wheel.schedule(command, command.withinMs);
  }

  /** Its answer was taken: it gets no other. */
  close(command: OpenCommand): void {
    this.#parts.wheel.cancel(command);
    this.#end(command, "second");
  }

  #end(command: OpenCommand, how: "second" | "late"): void {
    if (this.#open.get(command.key) !== command) return;
    this.#open.delete(command.key);
    this.#count(command, -1);
    this.#ended.set(command.key, how);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= remembered) break;
      this.#ended.delete(oldest);
    }
  }

  #countOf(subject: string): number {
    return this.#perSubject.get(subject) ?? 0;
  }

  #count(command: OpenCommand, by: 1 | -1): void {
    this.#parts.budget.state += by * command.bytes;
    for (const subject of [from(command), to(command)]) {
      const count = this.#countOf(subject) + by;
      if (count === 0) this.#perSubject.delete(subject);
      else this.#perSubject.set(subject, count);
    }
  }
}

const from = ({ requester }: OpenCommand) => `from ${requester}`;
const to = ({ device }: OpenCommand) => `to ${device}`;

const endings = {
  unsolicited: "no command with this correlation waits for an answer",
  second: "the command has been answered",
  late: "the time for an answer is over",
} as const;

function keyOf(responseTopic: string, { correlationData }: ExchangedMessage): string {
  return `${responseTopic} ${correlationData?.toString("base64") ?? ""}`;
}

/** A command of MQTT 5.0 says where its answer goes, and by what it is known. */
function faultOfProperties(
  { responseSpace }: Exchange,
  { responseTopic, correlationData }: ExchangedMessage,
): ExchangeFault | undefined {
  const beyond = responseTopic?.startsWith(responseSpace)
    ? responseTopic.slice(responseSpace.length)
    : undefined;
  if (beyond === undefined || !/^(\/[^/]+)?$/.test(beyond)) {
    const why =
      "a command wants a Response Topic: response below its own topic, or one level more; MQTT 3.1.1 sends it to request/ID";
    return { check: "response-topic", why };
  }
  const length = correlationData?.length ?? 0;
  if (length > 0 && length <= correlationBytes) return undefined;
  const why = `a command wants Correlation Data of 1 to ${correlationBytes} bytes`;
  return { check: "correlation-data", why };
}

/** Where the topic holds the correlation, nothing else may say another one. */
function faultOfTopic({
  responseTopic,
  correlationData,
}: ExchangedMessage): ExchangeFault | undefined {
  const why = "the topic of this command says where its answer goes, and nothing else does";
  if (responseTopic !== undefined) return { check: "response-topic", why };
  return correlationData === undefined ? undefined : { check: "correlation-data", why };
}
