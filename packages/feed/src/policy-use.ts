/** What a broker tells of the policies it decides by. Everything here is JSON. */
import type { SubjectKind } from "./world.ts";

/** A policy on trial: decided beside the one in force, and without any effect. */
export interface ShadowPolicy {
  /** SHA-256 of its files, lower-case hex. */
  readonly id: string;
  /** As `World.policy`. */
  readonly policy: unknown;
  /** Milliseconds since 1970: from then on nobody decides by it. */
  readonly until: number;
}

const shadowActs = ["publish", "subscribe", "receive"] as const;

/** What one of the two policies decides. */
export interface ShadowOutcome {
  readonly effect: "Permit" | "Deny";
  readonly ruleId?: string;
  /** `QoS 1, not retained`: where both permit, and under other terms. */
  readonly terms?: string;
}

/** Decisions alike that the policy on trial makes otherwise. Texts are printable, and name no patient. */
export interface ShadowDifference {
  readonly act: (typeof shadowActs)[number];
  readonly kind: SubjectKind;
  /** With attributes of the subject in braces: `{org}/{site}/{ward}/device/{id}/alarm`. */
  readonly topic: string;
  readonly inForce: ShadowOutcome;
  readonly onTrial: ShadowOutcome;
  readonly count: number;
  readonly example: { readonly subject: string; readonly topic: string };
}

/** What a trial has counted since the last message. */
export interface ShadowCounts {
  readonly id: string;
  /** Decisions that both policies made. */
  readonly decisions: number;
  readonly differences: readonly ShadowDifference[];
  /** Differences for which there was no room: only their number is known. */
  readonly uncounted: number;
}

const longestText = 2_000;
const mostRules = 100_000;
/** Differences of one message. */
export const mostDifferences = 500;

const isText = (value: unknown): value is string =>
  typeof value === "string" && value.length <= longestText;
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;
const kinds: readonly unknown[] = ["device", "service", "person", "app"];

/** Ids of rules as a broker sends them; undefined where they are none. */
export function decodeRules(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value) || value.length > mostRules) return undefined;
  return value.every(isText) ? value : undefined;
}

/** Counts as a broker sends them, made anew from the parts we know. */
export function decodeShadowCounts(said: Readonly<Record<string, unknown>>) {
  const { id, decisions, uncounted, differences } = said;
  if (!isText(id) || !/^[0-9a-f]{64}$/.test(id)) return undefined;
  if (!isCount(decisions) || !isCount(uncounted) || !Array.isArray(differences)) return undefined;
  if (differences.length > mostDifferences) return undefined;
  const decoded = differences.map(decodeDifference);
  const known = decoded.filter((one) => one !== undefined);
  if (known.length < decoded.length) return undefined;
  return { id, decisions, uncounted, differences: known } satisfies ShadowCounts;
}

function decodeDifference(value: unknown): ShadowDifference | undefined {
  const { act, kind, topic, count, inForce, onTrial, example } = Object(value);
  const known = shadowActs.find((one) => one === act);
  const { subject, topic: exampleTopic } = Object(example);
  const [former, next] = [decodeOutcome(inForce), decodeOutcome(onTrial)];
  if (known === undefined || !kinds.includes(kind) || !isText(topic)) return undefined;
  if (!isCount(count) || former === undefined || next === undefined) return undefined;
  if (!isText(subject) || !isText(exampleTopic)) return undefined;
  return {
    act: known,
    kind,
    topic,
    inForce: former,
    onTrial: next,
    count,
    example: { subject, topic: exampleTopic },
  };
}

function decodeOutcome(value: unknown): ShadowOutcome | undefined {
  const { effect, ruleId, terms } = Object(value);
  if (effect !== "Permit" && effect !== "Deny") return undefined;
  if (ruleId !== undefined && !isText(ruleId)) return undefined;
  if (terms !== undefined && !isText(terms)) return undefined;
  return {
    effect,
    ...(ruleId === undefined ? {} : { ruleId }),
    ...(terms === undefined ? {} : { terms }),
  };
}
