import { isDeepStrictEqual } from "node:util";
import type { SecurityEvent } from "@wardmq/events";
import type { LocalSigner } from "@wardmq/keys";
import { type Policy, PolicyError } from "@wardmq/policy";
import type { Authority } from "./ca/authority.ts";
import { type OperatorFiles, paths } from "./deployment.ts";
import type { RegistryChange } from "./registry/rows.ts";

/** Everything of the world that is read from files. */
export interface Sources extends OperatorFiles {
  readonly authority: Authority;
  readonly feed: FeedKeys;
}

/** Who signs the feed, and whom brokers are to believe (PEM). */
export interface FeedKeys {
  readonly signer: LocalSigner;
  readonly keys: readonly string[];
  /** PEM of the keys that signed in former times: the versions of the policy are kept as they were signed. */
  readonly former: readonly string[];
}

export interface Reloading {
  readonly read: () => Promise<Sources>;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** The policy as brokers have to know it. */
  readonly forBrokers: (policy: Policy) => Policy;
  /** Makes the change known: to the history and the brokers. */
  readonly apply: (sources: Sources, change: RegistryChange) => void;
}

/** Reads all files again. What changed takes effect; a file that is broken is an event, and changes nothing. */
export async function reload(
  current: Sources,
  actor: string,
  { read, record, forBrokers, apply }: Reloading,
): Promise<readonly string[]> {
  const next = await readOrRecord(read, record, actor);
  const [before, after] = [partsOf(current), partsOf(next)];
  const changed = parts.filter((part) => !isDeepStrictEqual(before[part], after[part]));
  if (changed.length === 0) return [];
  const told = changed.filter((part) => !untold.includes(part));
  const toldOf = (part: Part) => (part === "policy" ? forBrokers(next.policy) : after[part]);
  apply(next, Object.fromEntries(told.map((part) => [part, toldOf(part)])));
  for (const part of changed) {
    const type = part === "policy" ? "policy-changed" : "settings-changed";
    record({ type, details: { actor, file: fileOf[part] } });
  }
  return [...new Set(changed.map((part) => fileOf[part]))];
}

/** Brokers trust the issuing CAs only, hear of issuers with their keys, and issue nothing. */
const untold: readonly Part[] = ["roots", "issuers", "published", "anchor"];

const fileOf = {
  settings: paths.settings,
  published: paths.settings,
  anchor: paths.settings,
  policy: paths.policy,
  issuers: paths.issuers,
  roots: paths.rootCertificate,
  trustAnchors: paths.issuingCertificate,
  feedKeys: paths.feedKey,
} as const;

type Part = keyof typeof fileOf;
const parts = Object.keys(fileOf) as Part[];

function partsOf({ authority, feed, ...files }: Sources): Readonly<Record<Part, unknown>> {
  const { roots, trustAnchors } = authority;
  return { ...files, roots, trustAnchors, feedKeys: feed.keys };
}

async function readOrRecord(
  read: Reloading["read"],
  record: Reloading["record"],
  actor: string,
): Promise<Sources> {
  try {
    return await read();
  } catch (error) {
    const type = error instanceof PolicyError ? "policy-refused" : "settings-refused";
    record({ type, why: firstProblem(error), details: { actor } });
    throw error;
  }
}

/** Messages of ConfigError, PolicyError and Failure are printable lines, one for each problem. */
function firstProblem(error: unknown): string {
  const [first = "unreadable", ...more] = error instanceof Error ? error.message.split("\n") : [];
  return more.length === 0 ? first : `${first} (and ${more.length} more)`;
}
