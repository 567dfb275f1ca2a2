import { parseConfig } from "@wardmq/config";
import type { SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, Limits, SubjectRecord } from "@wardmq/feed";
import { decodePacket, encodePacket, type Packet, type ProtocolVersion } from "@wardmq/mqtt";
import { compilePolicy, parsePolicy } from "@wardmq/policy";
import type { Grant } from "@wardmq/tokens";
import { AttemptCounter } from "@wardmq/tokens/verify";
import { splitPackets } from "../../../test/support/bytes.ts";
import { Connection } from "../src/connection/connection.ts";
import { Connections } from "../src/connection/connections.ts";
import type { ConnectionContext, Peer } from "../src/connection/context.ts";
import { MemoryBudget } from "../src/connection/memory-budget.ts";
import type { Flusher, Output } from "../src/connection/output.ts";
import type { Reader, Rounds } from "../src/connection/rounds.ts";
import { Timed, TimingWheel } from "../src/connection/timing-wheel.ts";
import type { Transport } from "../src/door/transport.ts";
import { Enforcement } from "../src/enforcement/enforcement.ts";
import { OpenCommands } from "../src/enforcement/open-commands.ts";
import { type SubjectState, Subjects } from "../src/enforcement/subjects.ts";
import { RetainedMessages } from "../src/routing/retained-messages.ts";
import { Router } from "../src/routing/router.ts";
import { SessionTable } from "../src/session/session-table.ts";
import { Sessions } from "../src/session/sessions.ts";
import { Journal } from "../src/store/journal.ts";
import type { JournalStore } from "../src/store/journal-store.ts";
import { MemoryJournalStore } from "../src/store/memory-journal-store.ts";
import { MessageRestorer } from "../src/store/message-restorer.ts";
import { Found } from "../src/store/replay.ts";
import type { Refused, TokenQuestion } from "../src/tokens/token-judge.ts";
import { nobody, TokenSubjects } from "../src/tokens/token-subjects.ts";
import { fail, withoutInterval } from "./timers.ts";

const unknownToken: Refused = { check: "signature", why: "the token is not known" };

export const settings: BrokerSettings = parseConfig(
  "org: hospital\nhosts: [localhost]\n",
  [],
).settings;

/** Everything for everybody; tests of the policy bring their own. */
export const openPolicy = `
topics: { schema: off }
roles:
  all: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#", "$SYS/#"] }
bindings:
  - { role: all, to: "service:*" }
  - { role: all, to: "device:*" }
`;

/** The certificate that every peer of these tests presents. */
const bound = {
  fingerprint: "00",
  notAfter: Number.MAX_SAFE_INTEGER,
  state: "active",
} as const;

export function serviceRecord(name: string): SubjectRecord {
  return {
    id: `service:${name}`,
    kind: "service",
    state: "active",
    attributes: { org: "hospital", id: name },
    spiffeId: `spiffe://prod.hospital/service/${name}`,
    certificates: [bound],
  };
}

export function deviceRecord(uuid: string, ward = "icu"): SubjectRecord {
  return {
    id: `device:${uuid}`,
    kind: "device",
    state: "active",
    attributes: { org: "hospital", site: "north", ward, id: uuid },
    spiffeId: `spiffe://prod.hospital/device/${uuid}`,
    certificates: [bound],
  };
}

export interface PartsOptions {
  readonly policy?: string;
  readonly limits?: Partial<Limits>;
  /** For what takes several turns; by itself, when the test takes one. */
  readonly nextTurn?: (work: () => void) => void;
  readonly lostSubscription?: BrokerSettings["lostSubscription"];
  readonly rememberedTopics?: number;
  /** What an earlier one has left; else nothing. */
  readonly store?: JournalStore;
  /** How large the journal may be however little lives in it. */
  readonly spareBytes?: number;
}

/**
 * The broker behind its door, joined as `broker.ts` joins it, with the clock, the turns of the event loop and the
 * network in the hands of the test.
 */
export class BrokerParts {
  readonly events: Omit<SecurityEvent, "at">[] = [];
  /** What each token grants, or why it is refused. */
  readonly tokens = new Map<string, Grant | Refused>();
  /** The latest question to the thread that judges tokens. */
  asked: TokenQuestion | undefined;
  #judging: (() => void)[] = [];
  readonly failures: unknown[] = [];
  readonly used: string[] = [];
  readonly subjects = new Subjects();
  readonly retained = new RetainedMessages();
  readonly budget: MemoryBudget;
  readonly enforcement: Enforcement;
  readonly router: Router;
  readonly sessions: Sessions;
  readonly journal: Journal;
  readonly context: ConnectionContext;
  limits: Limits;
  clock = 1_700_000_000_000;
  /** Stands still, so that what is done in slices is done at once; tests of slices let it go on. */
  monotonic = () => 0;
  readonly #turnWheel: () => void;
  #dirty: Output[] = [];
  #scheduled: (() => void)[] = [];
  #later: (() => void)[] = [];
  #links: Link[] = [];
  #readers = new Set<Reader>();

  constructor(options: PartsOptions = {}) {
    this.limits = { ...settings.limits, ...options.limits };
    const limits = () => this.limits;
    const now = () => this.clock;
    const record = (event: Omit<SecurityEvent, "at">) => this.events.push(event);
    const failed = (error: unknown) => this.failures.push(error);
    const { made: wheel, turn } = withoutInterval(() => new TimingWheel(now, failed));
    this.#turnWheel = turn;
    this.budget = new MemoryBudget(this.limits.memoryBytes);
    this.budget.retained = this.retained;
    const commands = new OpenCommands({ wheel, budget: this.budget, limits });
    this.enforcement = new Enforcement(this.subjects, record, now, commands, fail);
    this.usePolicy(options.policy ?? openPolicy);
    this.journal = new Journal({
      store: options.store ?? new MemoryJournalStore(),
      schedule: (work) => this.#scheduled.push(work),
      later: (work) => this.#later.push(work),
      spareBytes: options.spareBytes ?? 64 * 1024 * 1024,
      limit: () => this.limits.storedBytes,
      onFailing: (error) => {
        record({ type: "store-failing", why: error.message });
        for (const connection of [...this.context.connections]) connection.storeFailed();
      },
      onRecovered: () => {
        record({ type: "store-recovered" });
        this.sessions.storeRecovered();
      },
    });
    const { journal } = this;
    this.router = new Router({
      enforcement: this.enforcement,
      journal,
      retained: this.retained,
      rememberedTopics: options.rememberedTopics ?? 1_000,
      retainedLimit: (messages, bytes) => this.#retainedLimit(messages, bytes),
      retainedSeconds: () => this.limits.retainedSeconds,
      now,
    });
    const { budget, enforcement, router } = this;
    this.sessions = new Sessions({
      table: new SessionTable(),
      journal,
      wheel,
      budget,
      router,
      enforcement,
      limits,
      lostSubscription: () => options.lostSubscription ?? "disconnect",
      now,
      monotonic: () => this.monotonic(),
      nextTurn: options.nextTurn ?? ((work) => this.#scheduled.push(work)),
      record,
      failed,
    });
    let ids = 0;
    this.context = {
      settings: () => settings,
      limits,
      wheel,
      budget,
      flusher: { add: (output: Output) => this.#dirty.push(output) } as unknown as Flusher,
      rounds: { join: (reader: Reader) => this.#readers.add(reader) } as unknown as Rounds,
      enforcement,
      router,
      sessions: this.sessions,
      tokens: {
        judge: (question) =>
          new Promise((answer) => {
            const { token } = question;
            this.asked = question;
            this.#judging.push(() => answer(this.tokens.get(token) ?? unknownToken));
          }),
        attempts: new AttemptCounter(now),
        later: (tell, delayMs) => wheel.schedule(new Later(tell), delayMs),
        subjects: new TokenSubjects((subject) => this.sessions.of(subject).length),
        now,
      },
      journal,
      connections: new Connections(),
      now,
      randomId: () => `random-${++ids}`,
      record,
      failed,
      certificateUsed: (fingerprint) => this.used.push(fingerprint),
      preAuthBytes: 0,
    };
  }

  /** Takes up what the store has kept, as `broker.ts` does; the subjects must be there. */
  async restore(): Promise<{ sessions: number; owed: number; lost: number }> {
    const found = new Found();
    await this.journal.read((segment, stored) => found.read(segment, stored));
    found.finish(this.journal);
    const messages = new MessageRestorer(
      found,
      this.journal,
      this.router,
      this.subjects,
      () => false,
    );
    messages.retained(this.clock);
    return this.sessions.restore(found, messages);
  }

  #retainedLimit(messages: number, bytes: number): string | undefined {
    if (this.retained.messages + messages > this.limits.retainedMessages) return "retainedMessages";
    if (this.retained.bytes + bytes > this.limits.retainedBytes) return "retainedBytes";
    return undefined;
  }

  /** A change of policy, as `broker.ts` enforces one. */
  usePolicy(text: string): Promise<void> | undefined {
    this.enforcement.usePolicy(compilePolicy(parsePolicy(text)));
    this.router?.dropAllRoutes();
    return this.sessions?.authorizeAgain(undefined);
  }

  service(name: string): SubjectState {
    return this.#subject(`service:${name}`, serviceRecord(name));
  }

  device(uuid: string, ward?: string): SubjectState {
    return this.#subject(`device:${uuid}`, deviceRecord(uuid, ward));
  }

  #subject(id: string, record: SubjectRecord): SubjectState {
    if (this.subjects.get(id) === undefined) this.subjects.put(record);
    return this.subjects.get(id) as SubjectState;
  }

  /** A network connection of this subject, which the door has let in. */
  link(subject: SubjectState): Link {
    const link = new Link(this, subject);
    this.#links.push(link);
    return link;
  }

  /** A network connection of somebody who has to come with a token. */
  stranger(peer: Partial<Peer> = {}): Link {
    const link = new Link(this, nobody, {
      holder: undefined,
      fingerprint: undefined,
      notAfter: Number.POSITIVE_INFINITY,
      listener: "tokenMqtts",
      proof: "token",
      ...peer,
    });
    this.#links.push(link);
    return link;
  }

  /** The thread that judges tokens has judged those that wait. */
  async judge(): Promise<void> {
    for (const answer of this.#judging.splice(0)) answer();
    await new Promise((done) => setImmediate(done));
    this.turn();
  }

  /** One turn of the event loop: what was written leaves, and what was ended closes. */
  turn(): void {
    for (
      let i = 0;
      i < 10 &&
      (this.#dirty.length > 0 ||
        this.#scheduled.length > 0 ||
        this.#links.some(({ mustClose }) => mustClose));
      i += 1
    ) {
      const scheduled = this.#scheduled;
      this.#scheduled = [];
      for (const work of scheduled) work();
      const dirty = this.#dirty;
      this.#dirty = [];
      for (const output of dirty) output.flush();
      for (const link of this.#links) if (link.mustClose) link.drop();
    }
    this.#links = this.#links.filter(({ isClosed }) => !isClosed);
  }

  /** Those that wait for it are read again. */
  nextRound(): void {
    const readers = this.#readers;
    this.#readers = new Set();
    for (const reader of readers) reader.nextRound();
  }

  /** Lets time pass. */
  advance(ms: number): void {
    this.clock += ms;
    const later = this.#later;
    this.#later = [];
    for (const work of later) work();
    this.#turnWheel();
    this.turn();
  }
}

/** One network connection, from the peer's side. */
export class Link implements Transport {
  readonly connection: Connection;
  /** The peer does not read: what is written waits. */
  isBlocked = false;
  isClosed = false;
  mustClose = false;
  isPaused = false;
  version: ProtocolVersion = 5;
  readonly #parts: BrokerParts;
  #held: Buffer[] = [];
  #owesDrain = false;
  #received: Buffer = Buffer.alloc(0);

  constructor(parts: BrokerParts, subject: SubjectState, peer: Partial<Peer> = {}) {
    this.#parts = parts;
    this.connection = new Connection(
      this,
      {
        subject,
        holder: subject,
        fingerprint: bound.fingerprint,
        notAfter: parts.clock + 365 * 86_400_000,
        address: "192.0.2.1",
        listener: "mqtts",
        proof: "certificate",
        ...peer,
      },
      parts.context,
    );
  }

  // --- the peer -------------------------------------------------------------------------------------

  /** Sends bytes or packets to the broker and lets it do its work. */
  send(...what: readonly (Buffer | Packet)[]): void {
    for (const part of what) {
      const bytes = Buffer.isBuffer(part) ? part : Buffer.from(encodePacket(part, this.version));
      if (!this.isClosed) this.connection.receive(Buffer.from(bytes));
    }
    this.#parts.turn();
  }

  /** Every byte that has come and was not taken. */
  takeBytes(): Buffer {
    const bytes = this.#received;
    this.#received = Buffer.alloc(0);
    return bytes;
  }

  /** Every whole packet that has come and was not taken; throws when one is not MQTT. */
  take(): Packet[] {
    const { packets, rest } = splitPackets(this.#received);
    this.#received = rest;
    return packets.map((packet) => {
      const start = 2 + packet.subarray(1).findIndex((byte) => byte < 0x80);
      return decodePacket(packet[0] as number, packet, start, packet.length, this.version, {
        sender: "server",
      });
    });
  }

  connect(values: Partial<Extract<Packet, { type: "CONNECT" }>> = {}): Packet[] {
    this.version = values.version ?? 5;
    this.send({
      type: "CONNECT",
      version: 5,
      cleanStart: true,
      keepAlive: 60,
      clientId: "",
      will: undefined,
      username: undefined,
      password: undefined,
      properties: {},
      ...values,
    });
    return this.take();
  }

  /** The peer reads again. */
  unblock(): void {
    this.isBlocked = false;
    this.#received = Buffer.concat([this.#received, ...this.#held]);
    this.#held = [];
    if (!this.#owesDrain) return;
    this.#owesDrain = false;
    this.connection.drained();
    this.#parts.turn();
  }

  /** The network connection is gone. */
  drop(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.mustClose = false;
    this.connection.closed();
  }

  // --- Transport --------------------------------------------------------------------------------------

  get pendingBytes(): number {
    return this.#held.reduce((sum, { length }) => sum + length, 0);
  }

  write(bytes: Buffer): boolean {
    if (this.isClosed) return true;
    if (!this.isBlocked) {
      this.#received = Buffer.concat([this.#received, bytes]);
      return true;
    }
    this.#held.push(this.#held.length === 0 ? Buffer.from(bytes) : bytes);
    this.#owesDrain = true;
    return false;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.mustClose = true;
  }

  destroy(): void {
    this.mustClose = true;
  }
}

/** Something to be done once, at its time by the wheel, which the test turns. */
class Later extends Timed {
  override readonly due: () => void;

  constructor(due: () => void) {
    super();
    this.due = due;
  }
}
