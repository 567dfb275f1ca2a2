import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { printable } from "@wardmq/events";
import {
  type Applied,
  type BanSummary,
  type BrokerMessage,
  decodeBrokerMessage,
  encodeFeedMessage,
  type FeedBody,
  FeedError,
  LineSplitter,
  partsOf,
  type Rekeyed,
  type ServerCertificate,
  type ShadowCounts,
  type StorePosition,
  type SubjectRecord,
  type World,
  type WorldChange,
} from "@wardmq/feed";
import { type Introspected, longestBanMs } from "@wardmq/tokens/verify";

export interface FeedPublisherOptions {
  /** The state of the world, all changes included that were published. */
  readonly world: () => World;
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly now: () => number;
  /** Where control's state stands; and what a broker that comes has heard of it. */
  readonly state: () => string;
  readonly onState: (state: string) => void;
  readonly onStored: (position: StorePosition) => void;
  readonly onEvents: (events: readonly unknown[]) => void;
  readonly onKeyMissing: (issuer: string) => void;
  /** What the issuer says of an opaque token. */
  readonly onIntrospect: (token: string) => Promise<Introspected | undefined>;
  /** Signs a broker's PKCS#10 request (DER): PEM, or why not. */
  readonly onCertificateRequest: (
    request: Uint8Array,
  ) => Promise<{ readonly certificate: string } | { readonly why: string }>;
  /** A device has connected with this certificate, the newer one of two. */
  readonly onUsed: (fingerprint: string) => void;
  /** A device has come with this certificate (DER) of a foreign CA, which is not bound yet. */
  readonly onForeign: (certificate: Uint8Array) => void;
  readonly onRulesUsed: (ruleIds: readonly string[]) => void;
  readonly onShadowCounts: (counts: ShadowCounts) => void;
  readonly report: (line: string) => void;
  readonly aliveMs?: number;
  readonly confirmMs?: number;
  /** How many changes are kept for brokers that come back, and how many characters of them. */
  readonly keptChanges?: number;
  readonly keptCharacters?: number;
  /** When more than this waits for a broker that reads slowly, it is sent no more before it has read that. */
  readonly longestBacklogBytes?: number;
}

/** What a broker did about a change, and when it said so. */
export interface Answer extends Applied {
  /** Milliseconds from the change in control to here. */
  readonly confirmedMs: number;
}

/** What a broker did about one version: `undefined` when it refused, left, or said nothing in time. */
type Confirm = (applied: Applied | undefined) => void;

/**
 * One broker on the feed.
 *
 *     connected --hello--> catching up (snapshot, or changes) --> following --(error, end)--> gone
 *                                     ^------- reads slowly ---------+
 */
interface Follower {
  readonly socket: Socket;
  state: "connected" | "catching up" | "following";
  /** The version of the last change that it was sent, while it follows. */
  sent: number;
  readonly waiting: Map<number, Confirm>;
  /** Who waits for the broker to say what it bans, to have sealed its store again, and to have a new certificate. */
  readonly bans: Waiting<readonly BanSummary[]>;
  readonly rekeyed: Waiting<Rekeyed>;
  readonly renewed: Waiting<Renewed>;
  /** What it shows to who connects. */
  shown: ServerCertificate | undefined;
}

export interface BrokerBans {
  readonly bans: readonly BanSummary[];
  /** How many have said what they ban. */
  readonly brokers: number;
  readonly unconfirmed: number;
}

type Waiting<Answer> = Set<(answer: Answer | undefined) => void>;

/** What became of a renewal; `why` it did not come about. */
interface Renewed {
  readonly why?: string;
}

const helloMs = 5_000;
/** A broker writes all it has stored anew. */
const rekeyMs = 120_000;
const renewMs = 30_000;
/** A broker sends up to 10,000 events at once after control was away. */
const longestBrokerLine = 32 * 1024 * 1024;
const longestBacklogBytes = 4 * 1024 * 1024;

/**
 * Tells brokers the state of the world: a snapshot first, then every change in order. The lineage is new with every
 * start of control, so that a registry restored from a backup can never pass for the continuation of the former one.
 */
export class FeedPublisher {
  readonly lineage = randomBytes(16).toString("hex");
  readonly #options: FeedPublisherOptions;
  readonly #followers = new Set<Follower>();
  /** The lines of each change that is kept, by version. */
  readonly #changes = new Map<number, string>();
  #keptCharacters = 0;
  /** When bans were lifted that a broker may still know, which was away or catching up at that time. */
  readonly #lifted = new Map<string, number>();
  readonly #aliveTimer: NodeJS.Timeout;
  #version = 1;

  constructor(options: FeedPublisherOptions) {
    this.#options = options;
    this.#aliveTimer = setInterval(() => this.#sayAlive(), options.aliveMs ?? 5_000);
  }

  get version(): number {
    return this.#version;
  }

  /** Sends a change to every broker; the function it returns waits for their answers. */
  publish({ subjects = [], ...change }: WorldChange): () => Promise<{
    readonly answers: readonly Answer[];
    readonly unconfirmed: number;
  }> {
    const startedAt = performance.now();
    this.#version += 1;
    const version = this.#version;
    const parts = partsOf(subjects);
    const lines = parts
      .map((part, i) => this.#lineOfPart(version, parts, part, i, { type: "change", change }))
      .join("");
    this.#keep(version, lines);
    const patience = (this.#options.confirmMs ?? 1_000) + subjects.length / 10;
    const answers = [...this.#followers]
      .filter(({ state }) => state !== "connected")
      .map((follower) => this.#answer(follower, version, patience, startedAt));
    for (const follower of this.#followers)
      if (follower.state === "following") this.#sendChange(follower, lines);
    return async () => {
      const settled = await Promise.all(answers);
      const applied = settled.filter((answer) => answer !== undefined);
      return { answers: applied, unconfirmed: settled.length - applied.length };
    };
  }

  /** What brokers have banned at this moment; `unconfirmed` counts those that do not follow yet, or did not say in time. */
  async bans(): Promise<BrokerBans> {
    const connected = this.#followers.size;
    const patience = this.#options.confirmMs ?? 1_000;
    const answers = await this.#askAll({ type: "bans" }, patience, ({ bans }) => bans);
    const said = answers.filter((answer) => answer !== undefined);
    return { bans: said.flat(), brokers: said.length, unconfirmed: connected - said.length };
  }

  /**
   * Has every broker judge tokens of an address or certificate again, and each that comes later, where the ban began
   * before `at`.
   */
  liftBan(of: string, at: number): void {
    this.#lifted.set(of, at);
    for (const [former, since] of this.#lifted)
      if (since < at - longestBanMs) this.#lifted.delete(former);
    for (const follower of this.#followers) this.#sayAside(follower, { type: "lift-ban", of });
  }

  /** Has every broker seal what it keeps under a new key; tells what became of each, `undefined` where it is unknown. */
  rekey(): Promise<readonly (Rekeyed | undefined)[]> {
    return this.#askAll({ type: "rekey" }, rekeyMs, ({ rekeyed }) => rekeyed);
  }

  /** What each broker shows to who connects. */
  serverCertificates(): readonly ServerCertificate[] {
    return [...this.#followers].flatMap(({ shown }) => shown ?? []);
  }

  /** Has every broker make a new key and get a certificate for it; tells why not, one sentence for each that failed. */
  async renewServerCertificates(): Promise<readonly string[]> {
    const all = await this.#askAll(
      { type: "renew-server-certificate" },
      renewMs,
      ({ renewed }) => renewed,
    );
    return all.flatMap((answer) =>
      answer === undefined ? ["a broker did not answer in time"] : (answer.why ?? []),
    );
  }

  /** Tells every broker to do something, and waits for what becomes of it: `undefined` where that is unknown. */
  #askAll<Answer>(
    message: object,
    patienceMs: number,
    waitingOf: (follower: Follower) => Waiting<Answer>,
  ): Promise<readonly (Answer | undefined)[]> {
    const followers = [...this.#followers].filter(({ state }) => state === "following");
    const line = this.#line(message, this.#version);
    const answers = followers.map((follower) => {
      const waiting = waitingOf(follower);
      return new Promise<Answer | undefined>((resolve) => {
        const settle = (answer: Answer | undefined) => {
          clearTimeout(timer);
          waiting.delete(settle);
          resolve(answer);
        };
        const timer = setTimeout(() => settle(undefined), patienceMs);
        waiting.add(settle);
        follower.socket.write(line);
      });
    });
    return Promise.all(answers);
  }

  /** Takes a broker's connection. */
  accept(socket: Socket): void {
    const follower: Follower = {
      socket,
      state: "connected",
      sent: 0,
      waiting: new Map(),
      bans: new Set(),
      rekeyed: new Set(),
      renewed: new Set(),
      shown: undefined,
    };
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
      if (follower.state !== "connected") clearTimeout(silence);
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(silence);
      this.#followers.delete(follower);
      for (const confirm of follower.waiting.values()) confirm(undefined);
      settleAll(follower.bans, undefined);
      settleAll(follower.rekeyed, undefined);
      settleAll(follower.renewed, undefined);
    });
  }

  close(): void {
    clearInterval(this.#aliveTimer);
    for (const { socket } of this.#followers) socket.destroy();
  }

  #hear(follower: Follower, message: BrokerMessage): void {
    if ((follower.state === "connected") !== (message.type === "hello"))
      throw new FeedError("ERR_FEED_LINE", "hello comes first");
    switch (message.type) {
      case "hello":
        follower.state = "catching up";
        if (message.state !== undefined) this.#options.onState(message.state);
        void this.#catchUp(
          follower,
          message.lineage === this.lineage ? message.version : undefined,
        );
        break;
      case "applied":
        follower.waiting.get(message.version)?.(message);
        break;
      case "refused":
        follower.waiting.get(message.version)?.(undefined);
        break;
      case "stored":
        this.#options.onStored({ incarnation: message.incarnation, number: message.number });
        break;
      case "foreign":
        this.#options.onForeign(new Uint8Array(Buffer.from(message.certificate, "base64")));
        break;
      case "used":
        this.#options.onUsed(message.fingerprint);
        break;
      case "events":
        this.#options.onEvents(message.events);
        break;
      case "snapshot-wanted":
        if (follower.state !== "following") break; // one comes, or the changes that lead to the present
        follower.state = "catching up";
        void this.#catchUp(follower, undefined);
        break;
      case "rules-used":
        this.#options.onRulesUsed(message.rules);
        break;
      case "shadow-counts":
        this.#options.onShadowCounts(message);
        break;
      case "key-missing":
        this.#options.onKeyMissing(message.issuer);
        break;
      case "introspect":
        void this.#introspect(follower, message.id, message.token);
        break;
      case "bans":
        settleAll(follower.bans, message.bans);
        break;
      case "rekeyed":
        settleAll(follower.rekeyed, message);
        break;
      case "not-rekeyed":
        this.#options.report(`a broker could not seal its store again: ${message.why}`);
        settleAll(follower.rekeyed, undefined);
        break;
      case "certificate-request":
        void this.#answerRequest(follower, message.request);
        break;
      case "server-certificate": {
        const { type: _, ...shown } = message;
        const isOther = follower.shown?.serialNumber !== shown.serialNumber;
        follower.shown = shown;
        if (isOther) settleAll(follower.renewed, {});
        break;
      }
      case "not-renewed":
        this.#options.report(`a broker has no new certificate: ${printable(message.why)}`);
        settleAll(follower.renewed, { why: message.why });
        break;
      case "ready":
        break;
    }
  }

  async #introspect(follower: Follower, id: number, token: string): Promise<void> {
    const introspected = await this.#options.onIntrospect(token).catch((error: unknown) => {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#options.report(`an opaque token could not be asked about: ${what}`);
      return undefined;
    });
    const message = { type: "introspected", id, ...(introspected && { introspected }) };
    this.#sayAside(follower, message);
  }

  /** One that is catching up stands at a version that nothing but changes may follow. */
  #sayAside(follower: Follower, message: object): void {
    if (follower.state === "following") follower.socket.write(this.#line(message, follower.sent));
  }

  async #answerRequest(follower: Follower, request: string): Promise<void> {
    const der = new Uint8Array(Buffer.from(request, "base64"));
    const answer = await this.#options.onCertificateRequest(der);
    const type = "why" in answer ? "server-certificate-refused" : "server-certificate";
    follower.socket.write(this.#line({ type, ...answer }, this.#version));
  }

  /**
   * Brings a broker that stands `at` a version of ours to the present, no faster than it reads: by changes while they are
   * kept, else by a snapshot.
   */
  async #catchUp(follower: Follower, at: number | undefined): Promise<void> {
    const { socket } = follower;
    let version = at !== undefined && at <= this.#version ? at : undefined;
    while (!socket.destroyed && version !== this.#version) {
      const lines = version === undefined ? undefined : this.#changes.get(version + 1);
      if (version === undefined || lines === undefined) version = await this.#sendSnapshot(socket);
      else {
        version += 1;
        if (!socket.write(lines)) await drained(socket);
      }
    }
    follower.state = "following";
    follower.sent = this.#version;
    if (at === version) socket.write(this.#line({ type: "alive" }, this.#version));
    for (const [of, at] of this.#lifted) this.#sayAside(follower, { type: "lift-ban", of, at });
  }

  /** Sends the world as it is now, a part a turn and no faster than the broker reads; gives the version it had. */
  async #sendSnapshot(socket: Socket): Promise<number> {
    const version = this.#version;
    const { subjects, ...world } = this.#options.world();
    const parts = partsOf(subjects);
    for (const [i, part] of parts.entries()) {
      const line = this.#lineOfPart(version, parts, part, i, { type: "snapshot", world });
      if (socket.destroyed) break;
      if (socket.write(line)) await nextTurn();
      else await drained(socket);
    }
    return version;
  }

  #keep(version: number, lines: string): void {
    const { keptChanges = 1_000, keptCharacters = 64 * 1024 * 1024 } = this.#options;
    this.#changes.set(version, lines);
    this.#keptCharacters += lines.length;
    for (const [oldest, { length }] of this.#changes) {
      if (this.#changes.size <= keptChanges && this.#keptCharacters <= keptCharacters) break;
      this.#changes.delete(oldest);
      this.#keptCharacters -= length;
    }
  }

  #answer(
    { waiting }: Follower,
    version: number,
    patienceMs: number,
    startedAt: number,
  ): Promise<Answer | undefined> {
    return new Promise((resolve) => {
      const confirm: Confirm = (applied) => {
        clearTimeout(timer);
        waiting.delete(version);
        const confirmedMs = Math.round((performance.now() - startedAt) * 1000) / 1000;
        resolve(applied && { ...applied, confirmedMs });
      };
      const timer = setTimeout(() => confirm(undefined), patienceMs);
      waiting.set(version, confirm);
    });
  }

  /** The last part goes with the message itself. */
  #lineOfPart(
    version: number,
    { length }: readonly unknown[],
    subjects: readonly SubjectRecord[],
    part: number,
    message: object,
  ): string {
    const isLast = part === length - 1;
    if (!isLast) return this.#line({ type: "subjects", part, subjects }, version);
    return this.#line({ ...message, parts: length - 1, subjects }, version);
  }

  #line(message: object, version: number): string {
    const { now, state } = this.#options;
    const body = { ...message, lineage: this.lineage, version, issuedAt: now(), state: state() };
    return encodeFeedMessage(body as FeedBody, this.#options.sign);
  }

  #sayAlive(): void {
    const line = this.#line({ type: "alive" }, this.#version);
    for (const follower of this.#followers)
      if (follower.state === "following" && !this.#isBehind(follower)) follower.socket.write(line);
  }

  /** A broker that reads slowly is not sent every step of a storm of changes while it lasts, and loses none of its end. */
  #sendChange(follower: Follower, lines: string): void {
    if (this.#isBehind(follower)) {
      follower.state = "catching up";
      const { socket, sent } = follower;
      void drained(socket).then(() => this.#catchUp(follower, sent));
      return;
    }
    follower.sent = this.#version;
    follower.socket.write(lines);
  }

  #isBehind({ socket }: Follower): boolean {
    return socket.writableLength > (this.#options.longestBacklogBytes ?? longestBacklogBytes);
  }
}

function settleAll<Answer>(waiting: Waiting<Answer>, answer: Answer | undefined): void {
  for (const settle of [...waiting]) settle(answer);
}

/** Settles when a socket takes more, or never will. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (!socket.writableNeedDrain || socket.destroyed) return resolve();
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
