import { Worker } from "node:worker_threads";
import {
  type Grant,
  type Introspected,
  type Issuer,
  isOpaque,
  maximumTokenBytes,
  Revocations,
  type RoleMapping,
  type TokenRevocation,
} from "@wardmq/tokens/verify";

/** A token as it came, and with what. */
export interface TokenQuestion {
  readonly token: string;
  /** SHA-256 of the certificate of the connection, lower-case hex. */
  readonly fingerprint: string | undefined;
  readonly username: string | undefined;
  /** Where it came from, as limits count it. */
  readonly network: string;
  /** It is to follow one in use, which begins a minute before that ends; a CONNECT waits for its answer. */
  readonly isRenewal: boolean;
  /** Tokens from there were refused lately, so that it is judged after those of others. */
  readonly isSuspect: boolean;
}

/** Why a token gets nobody in: the name of the check, and a sentence for the event. */
export interface Refused {
  readonly check: string;
  readonly why: string;
  /** The name of the issuer the token says it is of, where that is one of ours. */
  readonly issuer?: string;
  /** The subject it says it is of; nobody has to be that subject to say so. */
  readonly claimed?: string;
}

export type ToWorker =
  | {
      readonly type: "world";
      readonly org: string;
      readonly issuers: readonly Issuer[];
      readonly mapping: readonly RoleMapping[];
    }
  | {
      /** Tokens that count no longer, beside those that were told before. */
      readonly type: "revoked";
      readonly now: number;
      readonly revocations: readonly TokenRevocation[];
    }
  | ({
      readonly type: "question";
      readonly id: number;
      readonly now: number;
      readonly introspected: Introspected | undefined;
    } & Omit<TokenQuestion, "network" | "isRenewal" | "isSuspect">);

export type FromWorker =
  | { readonly id: number; readonly verdict: Grant | Refused }
  | { readonly id: number; readonly failure: string };

interface Waiting {
  readonly question: Omit<Extract<ToWorker, { type: "question" }>, "type" | "id" | "now">;
  readonly isRenewal: boolean;
  readonly network: string;
  /** Which world it was last judged in. */
  world: number;
  readonly answer: (verdict: Grant | Refused) => void;
}

export interface TokenJudgeParts {
  /** Token-clock milliseconds. */
  readonly now: () => number;
  readonly failed: (error: unknown) => void;
  /** A token names a key that its issuer may have begun to use. */
  readonly keyMissing: (issuer: string) => void;
  /** What the issuer says of an opaque token; undefined where nobody can say. */
  readonly introspect: (token: string) => Promise<Introspected | undefined>;
}

/**
 * Each token costs the event loop as much as many messages: a thousand of CONNECTs are judged in a second, and 200
 * renewals. One that is refused takes the time of four, so of bad ones 50.
 */
const turnMs = 10;
const connectsInTurn = 10;
const renewalsInTurn = 2;
const placesOfBadRenewal = 4;
/** How many tokens may wait to be judged, in each row and from one network: a flood waits for itself. */
const mostWaiting = 1_024;
const mostOfNetwork = 64;
/** Of one network: control asks the issuer about 32 at once, for everybody. */
const mostIntrospected = 8;
const busy: Refused = { check: "busy", why: "too many tokens wait to be judged" };
const unknown: Refused = { check: "issuer", why: "its issuer could not be asked about it" };
const broken: Refused = { check: "judge", why: "the token could not be judged" };

const nobody: readonly number[] = [];

/** Those whom the thread has not heard of yet, and how many of them it may in this turn. */
class Row {
  /** From where no token was refused lately. */
  readonly first: number[] = [];
  /** The others: a flood keeps nobody from its turn who is no part of it. */
  readonly last: number[] = [];
  readonly #inTurn: number;
  #left: number;

  constructor(inTurn: number) {
    this.#inTurn = inTurn;
    this.#left = inTurn;
  }

  get isIdle(): boolean {
    return this.first.length + this.last.length === 0 && this.#left === this.#inTurn;
  }

  take(): readonly number[] {
    if (this.#left <= 0) return nobody; // a flood asks for each of its tokens
    const taken = this.first.splice(0, this.#left);
    taken.push(...this.last.splice(0, this.#left - taken.length));
    this.#left -= taken.length;
    return taken;
  }

  /** Takes places of the turns to come. */
  owe(places: number): void {
    this.#left -= places;
  }

  nextTurn(): void {
    this.#left = Math.min(this.#inTurn, this.#left + this.#inTurn);
  }
}

/**
 * Judges tokens in a thread of its own, so that a flood of bad ones costs the event loop no more than passing them on.
 * The thread starts with the first token; when it ends, whoever waited is refused, and the next token starts another.
 */
export class TokenJudge {
  readonly #parts: TokenJudgeParts;
  readonly #waiting = new Map<number, Waiting>();
  readonly #byNetwork = new Map<string, number>();
  /** Opaque tokens whose issuer is being asked. */
  readonly #introspected = new Map<string, number>();
  readonly #connects = new Row(connectsInTurn);
  readonly #renewals = new Row(renewalsInTurn);
  #turn: NodeJS.Timeout | undefined;
  #world: Extract<ToWorker, { type: "world" }> | undefined;
  /** Grows with what a token may give: what is judged meanwhile is judged again. */
  #worlds = 0;
  readonly #revoked = new Revocations();
  #worker: Worker | undefined;
  #lastId = 0;

  constructor(parts: TokenJudgeParts) {
    this.#parts = parts;
  }

  /** What tokens are judged by from here on. */
  use(world: Omit<Extract<ToWorker, { type: "world" }>, "type">): void {
    const { issuers, mapping } = this.#world ?? {};
    if (world.issuers !== issuers || world.mapping !== mapping) this.#worlds += 1;
    this.#world = { type: "world", ...world };
    this.#worker?.postMessage(this.#world);
  }

  /** These tokens count no longer. */
  revoke(revocations: readonly TokenRevocation[]): void {
    const now = this.#parts.now();
    this.#revoked.add(revocations, now);
    this.#worker?.postMessage({ type: "revoked", now, revocations });
  }

  isRevoked(grant: Grant): boolean {
    return this.#revoked.has(grant);
  }

  /** Gives what the token grants, or why it is refused; never rejects. */
  async judge(question: TokenQuestion): Promise<Grant | Refused> {
    const { token, network } = question;
    const isAsked = this.#world?.issuers.some(({ isAsked }) => isAsked === true) === true;
    if (!isAsked || !isOpaque(token)) return this.#judge(question, undefined);
    if ((this.#introspected.get(network) ?? 0) >= mostIntrospected) return busy;
    count(this.#introspected, network, 1);
    const introspected = await this.#parts.introspect(token);
    count(this.#introspected, network, -1);
    return introspected === undefined ? unknown : this.#judge(question, introspected);
  }

  #judge(
    { network, isRenewal, isSuspect, ...question }: TokenQuestion,
    introspected: Introspected | undefined,
  ): Promise<Grant | Refused> {
    const world = this.#world;
    if (world === undefined || world.issuers.length === 0) {
      return Promise.resolve({ check: "iss", why: "no issuer is configured in issuers.yaml" });
    }
    if (question.token.length > maximumTokenBytes) {
      const why = `expected size to be at most ${maximumTokenBytes} characters`;
      return Promise.resolve({ check: "size", why });
    }
    const row = isRenewal ? this.#renewals : this.#connects;
    const ids = isSuspect ? row.last : row.first;
    const ofNetwork = this.#byNetwork.get(network) ?? 0;
    if (ids.length >= mostWaiting || ofNetwork >= mostOfNetwork) return Promise.resolve(busy);
    count(this.#byNetwork, network, 1);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((answer) => {
      this.#waiting.set(id, {
        question: { ...question, introspected },
        isRenewal,
        network,
        world: 0,
        answer,
      });
      ids.push(id);
      this.#handOver(world);
    });
  }

  /** Passes on as many as this turn lets; the others have theirs. */
  #handOver(world: ToWorker): void {
    if (this.#connects.isIdle && this.#renewals.isIdle) return;
    const thread = this.#thread(world);
    for (const id of [...this.#connects.take(), ...this.#renewals.take()]) this.#ask(thread, id);
    this.#turn ??= setTimeout(() => {
      this.#turn = undefined;
      this.#connects.nextTurn();
      this.#renewals.nextTurn();
      this.#handOver(this.#world ?? world);
    }, turnMs);
  }

  #ask(thread: Worker, id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return; // refused meanwhile
    waiting.world = this.#worlds;
    thread.postMessage({ type: "question", id, now: this.#parts.now(), ...waiting.question });
  }

  async close(): Promise<void> {
    clearTimeout(this.#turn);
    await this.#worker?.terminate();
  }

  #thread(world: ToWorker): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./token-worker.ts", import.meta.url));
    worker.unref();
    worker.on("message", (answer: FromWorker) => this.#answered(worker, answer));
    worker.on("error", (error) => this.#ended(worker, error));
    worker.on("exit", () => this.#ended(worker, undefined));
    worker.postMessage(world);
    worker.postMessage({ type: "revoked", now: 0, revocations: this.#revoked.entries() });
    this.#worker = worker;
    return worker;
  }

  #answered(worker: Worker, answer: FromWorker): void {
    if ("failure" in answer) {
      this.#parts.failed(new Error(`a token could not be judged: ${answer.failure}`));
      this.#settle(answer.id, broken);
      return;
    }
    const { verdict } = answer;
    if (!("check" in verdict)) {
      if (this.#waiting.get(answer.id)?.world !== this.#worlds) {
        this.#ask(worker, answer.id);
        return;
      }
      // The thread may not have heard yet of what was revoked while it worked.
      const isLate = this.isRevoked(verdict);
      this.#settle(
        answer.id,
        isLate ? { check: "revoked", why: "the token was revoked" } : verdict,
      );
      return;
    }
    if (this.#waiting.get(answer.id)?.isRenewal) this.#renewals.owe(placesOfBadRenewal - 1);
    if (verdict.check === "kid" && verdict.issuer !== undefined) {
      this.#parts.keyMissing(verdict.issuer);
    }
    this.#settle(answer.id, verdict);
  }

  #settle(id: number, verdict: Grant | Refused): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    const { network, answer } = waiting;
    count(this.#byNetwork, network, -1);
    answer(verdict);
  }

  #ended(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    if (error !== undefined) this.#parts.failed(error);
    for (const id of [...this.#waiting.keys()]) this.#settle(id, broken);
  }
}

function count(all: Map<string, number>, network: string, change: 1 | -1): void {
  const now = (all.get(network) ?? 0) + change;
  if (now === 0) all.delete(network);
  else all.set(network, now);
}
