import type { Commands } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import type { ShadowCounts, ShadowDifference, ShadowPolicy, WorldChange } from "@wardmq/feed";
import {
  enforcedPart,
  type Policy,
  PolicyError,
  type PolicyFile,
  untriedParts,
} from "@wardmq/policy";
import { Failure } from "../failure.ts";
import type { StateFile } from "../files.ts";
import type { Doing } from "../registry/registry.ts";
import { digestOf } from "./policy-files.ts";

type Status = Commands["policy.shadow"]["result"];

export interface PolicyTrialParts {
  readonly file: StateFile;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The policy of files, if a deployment may use it; throws. */
  readonly load: (files: readonly PolicyFile[]) => Policy;
  readonly inForce: () => Policy;
  readonly publish: (change: Pick<WorldChange, "shadow">) => void;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

/**
 * What is kept of a trial:
 *
 *     none --start--> running --(its time ends, end, it is applied)--> ended, and readable until the next start
 */
interface Trial {
  readonly digest: string;
  readonly files: readonly PolicyFile[];
  readonly actor: string;
  readonly reason: string;
  readonly startedAt: number;
  readonly until: number;
  readonly endedAt?: number;
  /** What differs from the policy in force and is not tried, in words. */
  readonly untried: readonly string[];
  /** Counts are of decisions since then: another policy in force begins anew. */
  readonly countedSince: number;
  readonly decisions: number;
  readonly uncounted: number;
  readonly differences: readonly ShadowDifference[];
}

const mostDifferences = 2_000;
const writeMs = 5_000;
const lookMs = 60_000;

/** The policy on trial: decided by brokers beside the one in force, without effect, until a time; across restarts. */
export class PolicyTrial {
  readonly #parts: PolicyTrialParts;
  #trial: Trial | undefined;
  /** Of the trial that runs, once brokers were told. */
  #forBrokers: ShadowPolicy | undefined;
  #writing: NodeJS.Timeout | undefined;
  readonly #looking: NodeJS.Timeout;

  constructor(parts: PolicyTrialParts) {
    this.#parts = parts;
    const text = parts.file.read();
    // INVARIANT: nobody but us writes the file.
    this.#trial = text === undefined ? undefined : withUntried(JSON.parse(text));
    this.#looking = setInterval(() => this.#endInTime(), lookMs).unref();
  }

  /** Begins a trial in place of the one before; throws, and changes nothing, where the files are no policy to use. */
  start(files: readonly PolicyFile[], seconds: number, reason: string, doing: Doing): Status {
    const untried = this.#untriedOf(files);
    const { actor, at } = doing;
    const until = at + seconds * 1000;
    const digest = digestOf(files);
    const nothing = { countedSince: at, decisions: 0, uncounted: 0, differences: [] };
    this.#keep({ digest, files, actor, reason, startedAt: at, until, untried, ...nothing });
    this.#parts.record({ type: "policy-trial-started", details: { actor, digest, until } });
    this.#publish();
    return this.status();
  }

  /** Ends the trial that runs; throws where none does. */
  end({ actor }: Pick<Doing, "actor">): Status {
    if (this.#running() === undefined) {
      throw new Failure("ERR_POLICY_SHADOW", "no policy is on trial", {
        hint: "wardmq policy apply DIR --shadow 24h begins a trial",
      });
    }
    this.#end(actor);
    return this.status();
  }

  /** Another policy is in force: what was counted was beside the former. The one on trial itself ends its trial. */
  inForce(digest: string): void {
    const trial = this.#running();
    if (trial === undefined) return;
    if (trial.digest === digest) {
      this.#end("control");
      return;
    }
    const countedSince = this.#parts.now();
    const untried = this.forBrokers() === undefined ? [] : this.#untriedOf(trial.files);
    this.#keep({ ...trial, untried, countedSince, decisions: 0, uncounted: 0, differences: [] });
  }

  #untriedOf(files: readonly PolicyFile[]): readonly string[] {
    return untriedParts(this.#parts.inForce(), this.#parts.load(files));
  }

  /** Takes what a broker has counted. */
  hear({ id, decisions, uncounted, differences }: ShadowCounts): void {
    const trial = this.#trial;
    if (trial === undefined || trial.digest !== id || trial.endedAt !== undefined) return;
    const all = new Map(trial.differences.map((one) => [keyOf(one), one]));
    let lost = uncounted;
    for (const one of differences) {
      const known = all.get(keyOf(one));
      if (known !== undefined) all.set(keyOf(one), { ...known, count: known.count + one.count });
      else if (all.size < mostDifferences) all.set(keyOf(one), one);
      else lost += one.count;
    }
    this.#trial = {
      ...trial,
      decisions: trial.decisions + decisions,
      uncounted: trial.uncounted + lost,
      differences: [...all.values()],
    };
    this.#writing ??= setTimeout(() => this.#write(), writeMs).unref();
  }

  /** What brokers are told; nothing where no trial runs, or where its files fit the deployment no longer. */
  forBrokers(): ShadowPolicy | undefined {
    const trial = this.#running();
    if (trial === undefined) return undefined;
    const { digest: id, until, files } = trial;
    const known = this.#forBrokers;
    if (known?.id === id && known.until === until) return known;
    try {
      this.#forBrokers = { id, until, policy: enforcedPart(this.#parts.load(files)) };
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      return undefined;
    }
    return this.#forBrokers;
  }

  status(): Status {
    this.#endInTime();
    const trial = this.#trial;
    if (trial === undefined) return { state: "none" };
    const { differences, untried, endedAt, ...rest } = trial;
    const state = endedAt === undefined ? "running" : "ended";
    const sorted = [...differences].sort((a, b) => b.count - a.count);
    const end = endedAt === undefined ? {} : { endedAt };
    return { state, trial: { ...rest, ...end, untried: [...untried], differences: sorted } };
  }

  close(): void {
    clearInterval(this.#looking);
    if (this.#writing !== undefined) this.#write();
  }

  #running(): Trial | undefined {
    const trial = this.#trial;
    const isOver = trial?.endedAt !== undefined || this.#parts.now() >= (trial?.until ?? 0);
    return isOver ? undefined : trial;
  }

  /** Brokers know the time themselves. */
  #endInTime(): void {
    const trial = this.#trial;
    if (trial === undefined || trial.endedAt !== undefined) return;
    if (this.#parts.now() >= trial.until) this.#end("control", trial.until);
  }

  #end(actor: string, endedAt = this.#parts.now()): void {
    if (this.#trial === undefined) return;
    this.#keep({ ...this.#trial, endedAt });
    const { digest, decisions } = this.#trial;
    this.#parts.record({ type: "policy-trial-ended", details: { actor, digest, decisions } });
    this.#publish();
  }

  #publish(): void {
    this.#parts.publish({ shadow: this.forBrokers() ?? null });
  }

  #keep(trial: Trial): void {
    this.#trial = trial;
    this.#write();
  }

  #write(): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    this.#parts.file.write(JSON.stringify(this.#trial));
  }
}

/** Of a trial that began under a version without it, nobody can tell any more. */
function withUntried(trial: Omit<Trial, "untried"> & Partial<Trial>): Trial {
  return { untried: [], ...trial };
}

function keyOf({ act, kind, topic, inForce, onTrial }: ShadowDifference): string {
  return JSON.stringify([act, kind, topic, inForce, onTrial]);
}
