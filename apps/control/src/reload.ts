import { isDeepStrictEqual } from "node:util";
import type { SecurityEvent } from "@wardmq/events";
import type { WorldChange } from "@wardmq/feed";
import { PolicyError } from "@wardmq/policy";
import type { OperatorFiles } from "./deployment.ts";

export interface Reloading {
  readonly read: () => OperatorFiles;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** Makes the change known: to the history, the server certificate, and the brokers. */
  readonly apply: (files: OperatorFiles, change: WorldChange) => void;
}

/** Reads both files again. What changed takes effect; a file that is broken is an event, and changes nothing. */
export function reload(
  current: OperatorFiles,
  actor: string,
  { read, record, apply }: Reloading,
): readonly string[] {
  let next: OperatorFiles;
  try {
    next = read();
  } catch (error) {
    const type = error instanceof PolicyError ? "policy-refused" : "settings-refused";
    record({ type, why: firstProblem(error), details: { actor } });
    throw error;
  }
  const settings = !isDeepStrictEqual(current.settings, next.settings);
  const policy = !isDeepStrictEqual(current.policy, next.policy);
  if (!settings && !policy) return [];
  apply(next, {
    ...(settings ? { settings: next.settings } : {}),
    ...(policy ? { policy: next.policy } : {}),
  });
  if (settings) record({ type: "settings-changed", details: { actor } });
  if (policy) record({ type: "policy-changed", details: { actor } });
  return [...(settings ? ["wardmq.yaml"] : []), ...(policy ? ["policy.yaml"] : [])];
}

/** Messages of ConfigError and PolicyError are printable lines, one for each problem. */
function firstProblem(error: unknown): string {
  const [first = "unreadable", ...more] = error instanceof Error ? error.message.split("\n") : [];
  return more.length === 0 ? first : `${first} (and ${more.length} more)`;
}
