import type { Commands } from "@wardmq/commands";
import { actions, type Policy, ruleIdOf } from "@wardmq/policy";
import type { StateFile } from "../files.ts";

/** A rule, whatever its place in the file, and the days it was seen on. */
export type RuleSeen = Commands["policy.usage"]["result"]["rules"][number];

export interface RuleUsageParts {
  readonly file: StateFile;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const dayMs = 24 * 60 * 60 * 1000;
const writeMs = 10_000;
/** Rules that no policy has had for so long are forgotten, and the oldest beyond so many. */
const keptMs = 400 * dayMs;
const mostKept = 50_000;

/** When each rule was first in force and last used, by day: what brokers say, kept across restarts. */
export class RuleUsage {
  readonly #parts: RuleUsageParts;
  readonly #seen: Map<string, RuleSeen>;
  /** Keys of `#seen` by the ids that brokers use. */
  #keys = new Map<string, string>();
  #writing: NodeJS.Timeout | undefined;

  constructor(parts: RuleUsageParts) {
    this.#parts = parts;
    // INVARIANT: nobody but us writes the file.
    const all = JSON.parse(parts.file.read() ?? "[]") as readonly RuleSeen[];
    this.#seen = new Map(all.map((one) => [keyOf(one), one]));
  }

  /** From here on ids are those of this policy. */
  follow({ roles }: Pick<Policy, "roles">): void {
    const since = this.#today();
    this.#keys = new Map();
    for (const { name: role, ...rules } of roles) {
      for (const action of actions) {
        for (const [index, { filter }] of rules[action].entries()) {
          const rule = { role, action, filter };
          const key = keyOf(rule);
          this.#keys.set(ruleIdOf(role, action, index), key);
          if (!this.#seen.has(key)) this.#seen.set(key, { ...rule, since });
        }
      }
    }
    this.#forget();
    this.#write();
  }

  /** These rules have decided something today; ids of no rule of the policy mean nothing. */
  used(ruleIds: readonly string[]): void {
    const lastUsed = this.#today();
    let isNew = false;
    for (const id of ruleIds) {
      const key = this.#keys.get(id);
      const seen = key === undefined ? undefined : this.#seen.get(key);
      if (key === undefined || seen === undefined || seen.lastUsed === lastUsed) continue;
      this.#seen.set(key, { ...seen, lastUsed });
      isNew = true;
    }
    if (isNew) this.#write();
  }

  list(): readonly RuleSeen[] {
    return [...this.#seen.values()];
  }

  close(): void {
    if (this.#writing === undefined) return;
    clearTimeout(this.#writing);
    this.#parts.file.write(JSON.stringify(this.list()));
  }

  #today(): number {
    return Math.floor(this.#parts.now() / dayMs) * dayMs;
  }

  #forget(): void {
    const followed = new Set(this.#keys.values());
    const before = this.#parts.now() - keptMs;
    const gone = [...this.#seen].filter(([key]) => !followed.has(key));
    const byAge = gone.sort(([, a], [, b]) => (b.lastUsed ?? b.since) - (a.lastUsed ?? a.since));
    for (const [i, [key, { lastUsed, since }]] of byAge.entries()) {
      if ((lastUsed ?? since) < before || i >= mostKept) this.#seen.delete(key);
    }
  }

  /** Soon: what is lost with the process is said again by brokers on the next day. */
  #write(): void {
    this.#writing ??= setTimeout(() => {
      this.#writing = undefined;
      this.#parts.file.write(JSON.stringify(this.list()));
    }, writeMs).unref();
  }
}

const keyOf = ({ role, action, filter }: Pick<RuleSeen, "role" | "action" | "filter">) =>
  JSON.stringify([role, action, filter]);
