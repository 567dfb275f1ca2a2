import type { Commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  type Change,
  type Difference,
  describePart,
  describeSubject,
  type Explanation,
  type Place,
  type PolicyDiff,
  type Reacher,
  type Right,
  type TestResult,
  type WildcardReach,
} from "@wardmq/policy";
import type { MappedRole } from "@wardmq/tokens";
import { table } from "../table.ts";

/** Where something stands, as editors and terminals take it. */
export function at(place: Place | undefined, file: string): string {
  if (place === undefined) return printable(file);
  return `${printable(place.file ?? file)}:${place.line}:${place.column}`;
}

export function explanationText(
  { decision, place, exchange, close, changes }: Explanation,
  asked: string,
  file: string,
  mapped: readonly MappedRole[],
  remark: string | undefined,
): string {
  const { effect, ruleId, hint } = decision;
  const rule = ruleId === undefined ? "no rule applies" : `by ${ruleId}, ${at(place, file)}`;
  const lines = [`${effect}: ${asked}`, `  ${rule}`];
  if (hint !== undefined) lines.push(`  ${hint}`);
  if (exchange !== undefined) lines.push(`  ${exchange}`);
  for (const { role, missing } of mapped) {
    const needs = missing === undefined ? "" : `, but it needs ${printable(missing)}`;
    lines.push(`  the claims give the role ${role}${needs}`);
  }
  if (remark !== undefined) lines.push(`  ${remark}`);
  if (effect === "Permit") return lines.join("\n");
  if (close.length > 0) lines.push("rules that came close:");
  for (const one of close) {
    lines.push(
      `  ${one.ruleId}, ${at(one.place, file)}: "${printable(one.filter)}"`,
      `    ${one.why}`,
    );
  }
  const [first, ...others] = changes;
  if (first) lines.push("the smallest change that would allow it:", changeText(first, file));
  if (others.length > 0) lines.push("or:", ...others.map((one) => changeText(one, file)));
  return lines.join("\n");
}

function changeText({ text, place, breaks }: Change, file: string): string {
  const where = place === undefined ? "" : ` (${at(place, file)})`;
  const warning = breaks.length === 0 ? "" : `; it would break the assertion ${breaks.join(", ")}`;
  return `  ${text}${where}${warning}`;
}

export function reachersText(reachers: readonly Reacher[], file: string): string {
  if (reachers.length === 0) return "nobody";
  const rows = reachers.map(({ who, ruleId, filter, place, from, until, example }) => {
    const [subject] = example.subjects;
    const shown = subject === undefined ? "" : `${describeSubject(subject)} on ${example.topic}`;
    return [who, filter, ruleId, at(place, file), timeText(from, until), shown];
  });
  return table(["WHO", "FILTER", "RULE", "WHERE", "WHEN", "FOR EXAMPLE"], rows);
}

export function rightsText(
  {
    allowed,
    denied,
  }: {
    allowed: readonly Right[];
    denied: readonly { action: string; filter: string; ruleId: string }[];
  },
  file: string,
): string {
  const rows = allowed.map(({ action, filter, ruleId, place, terms, until }) => [
    action,
    filter,
    termsText(terms, action),
    ruleId,
    at(place, file),
    timeText(undefined, until),
  ]);
  const lines = [table(["MAY", "FILTER", "TERMS", "RULE", "WHERE", "WHEN"], rows)];
  for (const { action, filter, ruleId } of denied) {
    lines.push(`never ${action} ${filter} (${ruleId})`);
  }
  return allowed.length === 0 && denied.length === 0 ? "nothing" : lines.join("\n");
}

function termsText(terms: Right["terms"], action: string): string {
  const { qos, retain, payloadBytes, contentType } = terms;
  const parts = [
    `QoS ${qos}`,
    ...(action === "publish" ? [retain ? "retained" : "not retained"] : []),
    ...(Number.isFinite(payloadBytes) ? [`${payloadBytes} bytes`] : []),
    ...(contentType === undefined ? [] : [contentType]),
  ];
  return parts.join(", ");
}

function timeText(from: number | undefined, until: number | undefined): string {
  const begins = from !== undefined && Number.isFinite(from) ? `from ${time(from)}` : "";
  const ends = until !== undefined && Number.isFinite(until) ? `until ${time(until)}` : "";
  return [begins, ends].filter(Boolean).join(" ") || "always";
}

const time = (at: number) => new Date(at).toISOString().replace(/:\d\d\.\d+Z$/, "Z");

export function diffText({ gained, lost, others }: PolicyDiff): string {
  if (gained.length + lost.length + others.length === 0) return "no difference";
  return [
    ...others.map((one) => `${describePart(one)} (line ${one.place.line})`),
    ...gained.map((one) => differenceText("gains", one)),
    ...lost.map((one) => differenceText("loses", one)),
  ].join("\n");
}

function differenceText(verb: string, one: Difference): string {
  const { who, action, filter, ruleId, place, extent, terms, example } = one;
  const [subject] = example.subjects;
  const part = extent === "all" ? "" : ", in part";
  const what = terms === undefined || terms === "" ? "" : ` (${terms})`;
  const shown =
    subject === undefined ? "" : `: for example ${describeSubject(subject)} on ${example.topic}`;
  return `${who} ${verb} ${action} ${filter}${what}${part}, by ${ruleId} (line ${place.line})${shown}`;
}

export function wildcardsText(open: readonly WildcardReach[], file: string): string {
  if (open.length === 0) return "no rule has a wildcard";
  const rows = open.map((one) => [
    one.filter,
    one.reach,
    one.severity,
    one.ruleId,
    at(one.place, file),
  ]);
  return table(["FILTER", "STANDS OPEN", "SEVERITY", "RULE", "WHERE"], rows);
}

export function testText({ test, decision, passed }: TestResult, file: string): string {
  const asked =
    test.publish === undefined ? `subscribe ${test.subscribe}` : `publish ${test.publish}`;
  const result = passed ? "passed" : `failed: expected ${test.expect}, it is ${decision.effect}`;
  const why = passed ? "" : ` (${decision.ruleId ?? decision.hint ?? ""})`;
  return `${at(test, file)}: ${test.subject} ${printable(asked)}: ${result}${why}`;
}

export function versionsText(
  versions: readonly {
    version: number;
    at: number;
    actor: string;
    reason: string;
    digest: string;
  }[],
): string {
  const rows = versions.map(({ version, at: when, actor, reason, digest }) => [
    String(version),
    time(when),
    printable(actor),
    digest.slice(0, 12),
    printable(reason),
  ]);
  return table(["VERSION", "SINCE", "BY", "DIGEST", "REASON"], rows);
}

type Shadow = Commands["policy.shadow"]["result"];
type ShadowDifference = NonNullable<Shadow["trial"]>["differences"][number];

/** What became of a trial, in words; texts of brokers are made printable once more. */
export function shadowText({ trial }: Shadow): string {
  if (trial === undefined) return "no policy is on trial, and none was";
  const { startedAt, until, endedAt, actor, reason, decisions, differences, untried, uncounted } =
    trial;
  const end = endedAt === undefined ? `runs until ${time(until)}` : `ended ${time(endedAt)}`;
  const since =
    trial.countedSince === startedAt
      ? ""
      : `, counted since ${time(trial.countedSince)}, when another policy came into force`;
  const other = differences.reduce((sum, one) => sum + one.count, uncounted);
  return [
    `the trial ${end} (${trial.digest.slice(0, 12)}, since ${time(startedAt)} by ${printable(actor)}: ${printable(reason)})`,
    `${decisions} decisions were compared${since}: ${other} would be others`,
    ...differences.map(shadowLine),
    ...(uncounted === 0 ? [] : [`${uncounted} more, of too many kinds to tell apart`]),
    ...untriedLines(untried),
  ].join("\n");
}

/** What of a policy its trial does not show. */
export function untriedLines(untried: readonly string[]): readonly string[] {
  if (untried.length === 0) return [];
  return ["not tried, for a trial compares decisions only:", ...untried.map((one) => `  ${one}`)];
}

function shadowLine({ act, kind, topic, inForce, onTrial, count, example }: ShadowDifference) {
  const side = ({ effect, ruleId, terms }: ShadowDifference["inForce"]) =>
    [
      effect,
      ...(terms === undefined ? [] : [`with ${printable(terms)}`]),
      ruleId === undefined ? "by no rule" : `by ${printable(ruleId)}`,
    ].join(" ");
  return [
    `${count}x ${kind} ${act} ${printable(topic)}: now ${side(inForce)}, then ${side(onTrial)}`,
    `  for example ${printable(example.subject)} on ${printable(example.topic)}`,
  ].join("\n");
}
