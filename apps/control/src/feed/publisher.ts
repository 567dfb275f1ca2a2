import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import {
  type BrokerMessage,
  decodeBrokerMessage,
  encodeFeedMessage,
  type FeedBody,
  FeedError,
  LineSplitter,
  type World,
  type WorldChange,
} from "@wardmq/feed";

export interface FeedPublisherOptions {
  /** The state of the world, all changes included that were published. */
  readonly world: () => World;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly now: () => number;
  readonly onEvents: (events: readonly unknown[]) => void;
  readonly onKeyMissing: (issuer: string) => void;
  readonly report: (line: string) => void;
  readonly aliveMs?: number;
  readonly confirmMs?: number;
  /** How many changes are kept for brokers that come back. */
  readonly keptChanges?: number;
  /** A broker that reads nothing while this much waits for it is cut off; it resumes when it comes back. */
  readonly longestBacklogBytes?: number;
}

type Applied = Extract<BrokerMessage, { type: "applied" }>;

/** What a broker did about one version: `undefined` when it refused, left, or said nothing in time. */
type Confirm = (applied: Applied | undefined) => void;

/**
 * One broker on the feed.
 *
 *     connected --hello--> following --(error, end, too far behind)--> gone
 */
interface Follower {
  readonly socket: Socket;
  isFollowing: boolean;
  readonly waiting: Map<number, Confirm>;
}

const helloMs = 5_000;
/** A broker sends up to 10,000 events at once after control was away. */
const longestBrokerLine = 32 * 1024 * 1024;
const longestBacklogBytes = 64 * 1024 * 1024;

/**
 * Tells brokers the state of the world: a snapshot first, then every change in order. The lineage is new with every
 * start of control, so that a registry restored from a backup can never pass for the continuation of the former one.
 */
export class FeedPublisher {
  readonly lineage = randomBytes(16).toString("hex");
  readonly #options: FeedPublisherOptions;
  readonly #followers = new Set<Follower>();
  readonly #changes = new Map<number, string>();
  readonly #aliveTimer: NodeJS.Timeout;
  #version = 1;

  constructor(options: FeedPublisherOptions) {
    this.#options = options;
    this.#aliveTimer = setInterval(
      () => this.#toAll(this.#line({ type: "alive" })),
      options.aliveMs ?? 5_000,
    );
  }

  get version(): number {
    return this.#version;
  }

  /** Sends a change to every broker; the function it returns waits for their answers. */
  publish(
    change: WorldChange,
  ): () => Promise<{ readonly answers: readonly Applied[]; readonly unconfirmed: number }> {
    this.#version += 1;
    const version = this.#version;
    const line = this.#line({ type: "change", change });
    this.#changes.set(version, line);
    this.#changes.delete(version - (this.#options.keptChanges ?? 1000));
    const answers = [...this.#followers]
      .filter(({ isFollowing }) => isFollowing)
      .map((follower) => this.#answer(follower, version));
    this.#toAll(line);
    return async () => {
      const settled = await Promise.all(answers);
      const applied = settled.filter((answer) => answer !== undefined);
      return { answers: applied, unconfirmed: settled.length - applied.length };
    };
  }

  /** Takes a broker's connection. */
  accept(socket: Socket): void {
    const follower: Follower = { socket, isFollowing: false, waiting: new Map() };
    const lines = new LineSplitter(longestBrokerLine);
    const silence = setTimeout(() => socket.destroy(), helloMs);
    this.#followers.add(follower);
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const line of lines.push(chunk)) this.#hear(follower, decodeBrokerMessage(line));
      } catch (error) {
        if (!(error instanceof FeedError)) throw error;
        this.#options.report(`a broker broke the rules of the feed: ${error.message}`);
        socket.destroy();
      }
      if (follower.isFollowing) clearTimeout(silence);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(silence);
      this.#followers.delete(follower);
      for (const confirm of follower.waiting.values()) confirm(undefined);
    });
  }

  close(): void {
    clearInterval(this.#aliveTimer);
    for (const { socket } of this.#followers) socket.destroy();
  }

  #hear(follower: Follower, message: BrokerMessage): void {
    if (!follower.isFollowing && message.type !== "hello")
      throw new FeedError("ERR_FEED_LINE", "hello comes first");
    switch (message.type) {
      case "hello":
        for (const line of this.#whatIsMissing(message)) this.#send(follower, line);
        follower.isFollowing = true;
        break;
      case "applied":
        follower.waiting.get(message.version)?.(message);
        break;
      case "refused":
        follower.waiting.get(message.version)?.(undefined);
        break;
      case "events":
        this.#options.onEvents(message.events);
        break;
      case "key-missing":
        this.#options.onKeyMissing(message.issuer);
        break;
      case "ready":
        break;
    }
  }

  /** The changes after a version of this lineage when we still have them all, else a snapshot. */
  #whatIsMissing({ lineage, version }: { lineage?: string; version?: number }): readonly string[] {
    const snapshot = () => [this.#line({ type: "snapshot", world: this.#options.world() })];
    if (lineage !== this.lineage || version === undefined || version > this.#version)
      return snapshot();
    const lines: string[] = [];
    for (let next = version + 1; next <= this.#version; next += 1) {
      const line = this.#changes.get(next);
      if (line === undefined) return snapshot();
      lines.push(line);
    }
    return [...lines, this.#line({ type: "alive" })];
  }

  #answer({ waiting }: Follower, version: number): Promise<Applied | undefined> {
    return new Promise((resolve) => {
      const confirm: Confirm = (applied) => {
        clearTimeout(timer);
        waiting.delete(version);
        resolve(applied);
      };
      const timer = setTimeout(() => confirm(undefined), this.#options.confirmMs ?? 1_000);
      waiting.set(version, confirm);
    });
  }

  #line(part: Part): string {
    const body = {
      ...part,
      lineage: this.lineage,
      version: this.#version,
      issuedAt: this.#options.now(),
    };
    return encodeFeedMessage(body as FeedBody, this.#options.sign);
  }

  #toAll(line: string): void {
    for (const follower of this.#followers) if (follower.isFollowing) this.#send(follower, line);
  }

  #send({ socket }: Follower, line: string): void {
    if (socket.writableLength > (this.#options.longestBacklogBytes ?? longestBacklogBytes))
      socket.destroy();
    else socket.write(line);
  }
}

type Part =
  | { readonly type: "snapshot"; readonly world: World }
  | { readonly type: "change"; readonly change: WorldChange }
  | { readonly type: "alive" };
