import { connect, type Socket } from "node:net";
import {
  type BrokerMessage,
  decodeFeedMessage,
  type Ended,
  encodeBrokerMessage,
  type FeedAside,
  type FeedBody,
  type FeedNews,
  LineSplitter,
  maximumFeedLineBytes,
  type Rekeyed,
  type SubjectRecord,
} from "@wardmq/feed";

export interface FeedClientParts {
  /** Path of control's Unix socket. */
  readonly path: string;
  readonly verify: (bytes: Uint8Array, signature: Uint8Array) => boolean;
  /** Keeps a part of the subjects of the snapshot or change that comes; part 0 begins anew. */
  readonly stage: (part: number, subjects: readonly SubjectRecord[]) => void;
  /** Applies a snapshot or a change with its parts, whole or not at all; throws when it cannot. */
  readonly apply: (body: FeedNews) => Ended | Promise<Ended>; // a promise is kept
  readonly onAlive: (issuedAt: number) => void;
  /** A message with the lines of its parts was applied: they can be kept for a start without control. True: too many are. */
  readonly keep: (lines: readonly string[], type: FeedBody["type"]) => boolean;
  /** What control says about this broker's own certificate. */
  readonly onServerCertificate: (message: ServerCertificateMessage) => void;
  /** Seals all that is kept under a new key. */
  readonly rekey: () => Promise<Rekeyed>;
  /** Control said something that changes nothing of the world. */
  readonly aside: (body: FeedAside) => void;
  readonly onConnected: (send: (message: BrokerMessage) => boolean) => void;
  readonly onLost: () => void;
  readonly onRefused: (version: number, why: string) => void;
}

export type ServerCertificateMessage = Extract<
  FeedBody,
  { type: "renew-server-certificate" | "server-certificate" | "server-certificate-refused" }
>;

/** The last message that was applied. */
interface Position {
  readonly lineage: string;
  readonly version: number;
}

/** Parts that wait for their message, and when the first of them came. */
interface Staged extends Position {
  readonly parts: number;
  readonly since: number;
}

/** What was applied, and what was begun. */
interface Standing {
  readonly at: Position | undefined;
  /** The last part of subjects whose snapshot or change has not come yet, and how many there were. */
  readonly staged: Staged | undefined;
}

const firstRetryMs = 100;
const longestRetryMs = 5_000;
/** Output that control does not read, from which on events wait in the outbox. */
const maximumPending = 4 * 1024 * 1024;

/**
 * The broker's end of the feed:
 *
 *     connecting -> hello -> snapshot -> changes in order ... -> (lost) connecting
 *
 * A message that is not signed by control, does not follow the one before, or cannot be applied changes nothing: the
 * broker serves on with the last good state and asks anew from where it stands.
 */
export class FeedClient {
  readonly #parts: FeedClientParts;
  #socket: Socket | undefined;
  #retryMs = firstRetryMs;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #at: Standing = { at: undefined, staged: undefined };
  /** Of the parts that were staged. */
  #lines: readonly string[] | undefined;
  #isHeard = false;
  /** What control has said last of its own state. */
  #state: string | undefined;

  constructor(parts: FeedClientParts) {
    this.#parts = parts;
  }

  open(): void {
    const socket = connect(this.#parts.path);
    const lines = new LineSplitter(maximumFeedLineBytes);
    this.#socket = socket;
    socket.on("connect", () => {
      const state = this.#state === undefined ? {} : { state: this.#state };
      this.#send({ type: "hello", ...this.#at.at, ...state });
      this.#isHeard = true;
      this.#parts.onConnected((message) => this.#send(message));
    });
    socket.on("data", (bytes) => {
      try {
        for (const line of lines.push(bytes)) this.#take(line);
      } catch (error) {
        this.#refuse(this.#at.at?.version ?? 0, error);
      }
    });
    socket.on("error", () => {});
    socket.on("close", () => this.#lost());
  }

  /** Takes from lines that were kept where control's state stood: one that is older by now is told so. */
  remember(lines: readonly string[]): void {
    const last = lines.at(-1);
    if (last === undefined) return;
    try {
      this.#state = decodeFeedMessage(last, this.#parts.verify).state;
    } catch {
      // `restore` says why, if it comes to that.
    }
  }

  /**
   * Takes the world from lines that were kept, as if control had said them: all of them, or none if one is not signed
   * by control or does not follow the one before. False: nothing was taken.
   */
  restore(lines: readonly string[]): boolean {
    if (this.#at.at !== undefined || lines.length === 0) return false;
    let standing = this.#at;
    try {
      const bodies = lines.map((line) => {
        const body = decodeFeedMessage(line, this.#parts.verify);
        standing = after(body, standing);
        return body;
      });
      for (const body of bodies) this.#apply(body);
      return true;
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      this.#parts.onRefused(standing.at?.version ?? 0, `the feed that was kept: ${why}`);
      return false;
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#socket?.end();
  }

  #send(message: BrokerMessage): boolean {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed || socket.writableLength > maximumPending) {
      return false;
    }
    socket.write(encodeBrokerMessage(message));
    return true;
  }

  #take(line: string): void {
    const body = decodeFeedMessage(line, this.#parts.verify);
    if (body.type === "rekey") {
      this.#at = after(body, this.#at);
      void this.#rekey();
      return;
    }
    if (isAside(body)) {
      this.#at = after(body, this.#at);
      this.#parts.aside(body);
      return;
    }
    if (isAboutServerCertificate(body)) {
      this.#parts.onServerCertificate(body); // it changes nothing of the world, and may come between its parts
      return;
    }
    const since = this.#at.staged?.since ?? performance.now();
    const lines = [...(this.#lines ?? []), line];
    this.#lines = body.type === "subjects" ? lines : undefined;
    const ended = this.#apply(body);
    if (body.type !== "subjects" && this.#parts.keep(lines, body.type))
      this.#send({ type: "snapshot-wanted" });
    if (ended === undefined) return;
    this.#retryMs = firstRetryMs;
    const { version } = body;
    const tell = (told: Ended) => {
      const milliseconds = Math.round((performance.now() - since) * 1000) / 1000;
      this.#send({ type: "applied", version, ...told, milliseconds });
    };
    if (ended instanceof Promise) void ended.then(tell);
    else tell(ended);
  }

  async #rekey(): Promise<void> {
    try {
      this.#send({ type: "rekeyed", ...(await this.#parts.rekey()) });
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      this.#send({ type: "not-rekeyed", why });
    }
  }

  /** Takes the next message; tells what it ended when it is one that is applied. */
  #apply(body: FeedBody): Ended | Promise<Ended> | undefined {
    const { at } = this.#at;
    const next = after(body, this.#at);
    this.#at = { at, staged: undefined }; // whatever is not the next part or their message drops those before
    const ended = this.#do(body);
    this.#at = next;
    if (body.type === "subjects") return ended;
    this.#state = body.state;
    this.#parts.onAlive(body.issuedAt);
    return ended;
  }

  #do(body: FeedBody): Ended | Promise<Ended> | undefined {
    if (body.type === "subjects") this.#parts.stage(body.part, body.subjects);
    return body.type === "snapshot" || body.type === "change" ? this.#parts.apply(body) : undefined;
  }

  #refuse(version: number, error: unknown): void {
    const why = error instanceof Error ? error.message : "unknown";
    this.#send({ type: "refused", version, why });
    this.#parts.onRefused(version, why);
    this.#socket?.destroy();
  }

  #lost(): void {
    if (this.#isHeard) this.#parts.onLost();
    this.#isHeard = false;
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }
}

function isAside(body: FeedBody): body is FeedAside & FeedBody {
  return ["introspected", "lift-ban", "bans"].includes(body.type);
}

function isAboutServerCertificate(body: FeedBody): body is ServerCertificateMessage & FeedBody {
  return body.type.includes("server-certificate");
}

/** Where a broker stands after this message; throws when the message does not follow. */
function after(body: FeedBody, { at, staged }: Standing): Standing {
  if (!follows(body, at, staged)) throw new Error("the message does not follow the one before");
  const { lineage, version } = body;
  if (body.type !== "subjects") return { at: { lineage, version }, staged: undefined };
  const since = body.part === 0 ? performance.now() : (staged?.since ?? performance.now());
  return { at, staged: { lineage, version, parts: body.part + 1, since } };
}

/**
 * A snapshot may jump ahead or begin a lineage; one from the past of ours would bring back what was revoked since. Parts
 * of subjects come without a gap, and all of them before their message.
 */
function follows(body: FeedBody, at: Position | undefined, staged: Staged | undefined): boolean {
  const isSame = staged?.lineage === body.lineage && staged.version === body.version;
  const parts = isSame ? staged.parts : 0;
  if (body.type === "subjects") return body.part === 0 || body.part === parts;
  const hasParts = body.type === "snapshot" || body.type === "change";
  if (hasParts && body.parts !== parts) return false;
  const isOurs = at !== undefined && at.lineage === body.lineage;
  if (body.type === "snapshot") return !isOurs || body.version >= at.version;
  return isOurs && body.version === at.version + (body.type === "change" ? 1 : 0);
}
