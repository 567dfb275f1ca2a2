import { printable } from "@wardmq/events";
import { isTopicFilter, isTopicName } from "@wardmq/mqtt";
import { type Asked, askedFilter, askedName } from "../decide/asked.ts";
import {
  type Assignment,
  assignmentsOf,
  countsAt,
  describeClaim,
  selects,
} from "../decide/assignments.ts";
import { compilePolicy, placeOf } from "../decide/compile-policy.ts";
import type { Decision, Subject } from "../decide/decision.ts";
import { malformedDenied } from "../decide/denial.ts";
import type { Exchange } from "../decide/exchange.ts";
import {
  type Action,
  actions,
  denyIdOf,
  type Place,
  type Policy,
  type Role,
  type Rule,
  ruleIdOf,
} from "../language/policy.ts";
import { isFault, parseRulePattern } from "../language/rule-pattern.ts";
import { provePolicy } from "../prove/assertions.ts";
import { differencesOf, filterFor, fittedFilter } from "./difference.ts";

/** What is asked to be explained; `at` in milliseconds since 1970. */
export interface ExplainRequest {
  readonly subject: Subject;
  readonly action: Action;
  /** A Topic Name to publish to, or a Topic Filter to subscribe to. */
  readonly topic: string;
  readonly at: number;
}

/** A rule that does not allow what is asked, and why not. */
export interface CloseRule {
  readonly ruleId: string;
  readonly filter: string;
  readonly place: Place;
  readonly why: string;
  /** How much would have to change: levels of the filter, and whether the subject has the role. */
  readonly distance: number;
}

/** A change of the policy that turns a Deny into a Permit. */
export interface Change {
  readonly text: string;
  readonly place: Place | undefined;
  /** Assertions that would no longer hold. */
  readonly breaks: readonly string[];
  readonly changed: Policy;
}

export interface Explanation {
  readonly decision: Decision;
  /** Where the rule that decided stands. */
  readonly place: Place | undefined;
  /** What the broker asks for beside the rules, of a command or an answer. */
  readonly exchange: string | undefined;
  /** Nearest first. */
  readonly close: readonly CloseRule[];
  /** Those that break no assertion first, then the smallest; each has been tried. */
  readonly changes: readonly Change[];
}

const mostClose = 6;
const mostChanges = 3;
/** How many edits that work are tried on the assertions, for one that breaks none. */
const mostTried = 8;

/** A decision with its reasons, and what would turn it. */
export function explain(policy: Policy, request: ExplainRequest): Explanation {
  const decision = decide(policy, request);
  const place = placeOfRule(policy, decision.ruleId);
  const exchange = decision.exchange && describeExchange(decision.exchange);
  if (decision.effect === "Permit") return { decision, place, exchange, close: [], changes: [] };
  const close = closeRules(policy, request);
  return { decision, place, exchange, close, changes: changesFor(policy, request) };
}

/** Whatever the rules permit, the broker watches over commands and their answers. */
function describeExchange(exchange: Exchange): string {
  const { part, device, responseSpace, responseTopic, withinMs, ruleId } = exchange;
  const seconds = `${withinMs / 1000} seconds`;
  const rule = `(${ruleId})`;
  if (part === "response") {
    return `it is an answer: it passes only from ${device}, once, within ${seconds} after a command that waits for it, and goes to who sent that command ${rule}`;
  }
  const waits = `only ${device} may answer, once, within ${seconds}; it is never retained, and no will ${rule}`;
  return responseTopic === undefined
    ? `it is a command: it needs MQTT 5.0, Correlation Data of 1 to 128 bytes and a Response Topic, ${responseSpace} or one level below it, that its sender may subscribe to; ${waits}`
    : `it is a command: its answer goes to ${responseTopic}, and it has no Response Topic or Correlation Data; ${waits}`;
}

function decide(policy: Policy, { subject, action, topic, at }: ExplainRequest): Decision {
  if (!(action === "publish" ? isTopicName : isTopicFilter)(topic)) return malformedDenied;
  const rights = compilePolicy(policy).rightsOf(subject, at);
  return action === "publish" ? rights.decidePublish(topic) : rights.decideSubscribe(topic);
}

/** Where a rule or a filter of a deny rule stands in the files. */
function placeOfRule(policy: Policy, ruleId: string | undefined): Place | undefined {
  if (ruleId === undefined) return undefined;
  const [first] = ruleId.split(",");
  for (const role of policy.roles) {
    for (const action of actions) {
      const found = role[action].find((_, i) => ruleIdOf(role.name, action, i) === first);
      if (found) return found;
    }
  }
  for (const [index, rule] of policy.deny.entries()) {
    for (const action of actions) {
      const found = rule[action].find((_, i) => denyIdOf(index, action, i) === first);
      if (found) return found;
    }
  }
  const command = /^topics\.commands\[(\d+)\]$/.exec(first ?? "")?.[1];
  if (command !== undefined) return policy.topics?.commands?.[Number(command)] ?? policy.topics;
  return first === "topics" ? policy.topics : undefined;
}

interface Candidate {
  readonly role: Role;
  readonly rule: Rule;
  readonly index: number;
  /** What gives the role to the subject, whatever the time. */
  readonly given: readonly Assignment[];
  readonly counts: boolean;
  readonly differences: readonly string[];
}

function candidatesOf(policy: Policy, request: ExplainRequest): readonly Candidate[] {
  const { subject, action, at } = request;
  const asked = askedOf(request);
  if (!asked) return [];
  const assignments = assignmentsOf(policy).filter(({ selector }) => selects(selector, subject));
  return policy.roles.flatMap((role) => {
    const given = assignments.filter((one) => one.role === role.name);
    const isOfToken = subject.roles?.includes(role.name) === true;
    const counts = isOfToken || given.some((one) => countsAt(one, at));
    return role[action].map((rule, index) => {
      const differences = differencesOf(rule.filter, asked, subject.attributes);
      return { role, rule, index, given, counts, differences };
    });
  });
}

/** The levels of what is asked for; undefined where a client could not ask for it. */
function askedOf({ action, topic }: ExplainRequest): Asked | undefined {
  if (action === "publish") return isTopicName(topic) ? askedName(topic) : undefined;
  return isTopicFilter(topic) ? askedFilter(topic) : undefined;
}

function closeRules(policy: Policy, request: ExplainRequest): readonly CloseRule[] {
  const close = candidatesOf(policy, request).map((one): CloseRule => {
    const { role, rule, index, counts, differences } = one;
    const reasons = [...(counts ? [] : [whyNotHeld(policy, one, request)]), ...differences];
    return {
      ruleId: ruleIdOf(role.name, request.action, index),
      filter: rule.filter,
      place: rule,
      why:
        reasons.length === 0
          ? "it allows this, but a deny rule or a place denies it"
          : reasons.join("; "),
      distance: reasons.length,
    };
  });
  const sorted = close.sort((a, b) => a.distance - b.distance);
  const nearest = sorted[0]?.distance ?? 0;
  return sorted.filter(({ distance }) => distance <= nearest + 1).slice(0, mostClose);
}

function whyNotHeld(
  { claims }: Policy,
  { role, given }: Candidate,
  { subject, at }: ExplainRequest,
): string {
  const [first] = given;
  if (first === undefined) {
    const isOfToken = subject.kind === "person" || subject.kind === "app";
    const giving = isOfToken ? claims.filter((claim) => claim.role === role.name) : [];
    const by = giving.map(describeClaim).join(" or ");
    return `${subject.id} does not have the role ${role.name}${by && `, which ${by} have`}`;
  }
  const when = first.from !== undefined && first.from > at ? "has not begun" : "has ended";
  return `the grant of ${role.name} (${placeOf(first.place)}) ${when}`;
}

/** Edits of the policy by how much they change; the first that work are told. */
function changesFor(policy: Policy, request: ExplainRequest): readonly Change[] {
  const edits = [
    { cost: 0, text: [], place: undefined, changed: policy } as Edit,
    ...candidatesOf(policy, request).flatMap((one) => editsFor(policy, request, one)),
    ...newRules(policy, request),
  ].sort((a, b) => a.cost - b.cost);
  const before = new Set(provePolicy(policy).map((one) => `${one.assertion} ${one.ruleId}`));
  const changes: Change[] = [];
  for (const edit of edits) {
    const working = withoutDenials(edit, request);
    if (!working) continue;
    const broken = provePolicy(working.changed).filter(
      (one) => !before.has(`${one.assertion} ${one.ruleId}`),
    );
    const breaks = [...new Set(broken.map(({ assertion }) => assertion))];
    const { text, place, changed } = working;
    changes.push({ text: text.join(", and "), place, breaks, changed });
    if (changes.length === mostTried) break;
  }
  return changes.sort((a, b) => a.breaks.length - b.breaks.length).slice(0, mostChanges);
}

interface Edit {
  readonly cost: number;
  readonly text: readonly string[];
  readonly place: Place | undefined;
  readonly changed: Policy;
}

/** The edit with every deny rule narrowed that still stands in the way; undefined where it does not help. */
function withoutDenials(edit: Edit, request: ExplainRequest): Edit | undefined {
  let current = edit;
  for (let i = 0; i <= 100; i++) {
    const { effect, ruleId } = decide(current.changed, request);
    if (effect === "Permit") return current.text.length === 0 ? undefined : current;
    const index = Number(/^deny\[(\d+)\]/.exec(ruleId ?? "")?.[1] ?? -1);
    const rule = current.changed.deny[index];
    if (!rule || ruleId === undefined) return undefined;
    const at = Number(/\[(\d+)\]$/.exec(ruleId)?.[1]);
    const { action } = request;
    const deny = current.changed.deny.map((one, n) =>
      n === index ? { ...one, [action]: one[action].filter((_, m) => m !== at) } : one,
    );
    const text = `remove the deny rule ${ruleId}: "${rule[action][at]?.filter}"`;
    const changed = { ...current.changed, deny };
    const place = current.place ?? rule[action][at];
    current = { cost: current.cost + 1, text: [...current.text, text], place, changed };
  }
  return undefined;
}

function editsFor(policy: Policy, request: ExplainRequest, one: Candidate): readonly Edit[] {
  const { role, rule, index, counts, differences } = one;
  const filter = fitted(rule.filter, request);
  const isSame = differences.length === 0;
  const edited =
    isSame || filter === undefined ? policy : withRule(policy, role, request.action, index, filter);
  if (!isSame && filter === undefined) return [];
  const text = isSame ? [] : [`write "${filter}" in place of "${rule.filter}"`];
  const cost = differences.length;
  if (counts) return [{ cost, text, place: rule, changed: edited }];
  return heldBy(edited, request, one).map(({ text: how, place, changed }) => ({
    cost: cost + 1,
    text: [how, ...text],
    place: isSame ? place : rule,
    changed,
  }));
}

function fitted(filter: string, request: ExplainRequest): string | undefined {
  const asked = askedOf(request);
  return asked && ruleFilter(fittedFilter(filter, asked, request.subject.attributes), request);
}

/** What a rule may say: a client may ask for more than that, such as a longer topic. */
function ruleFilter(filter: string | undefined, { action }: ExplainRequest): string | undefined {
  return filter === undefined || isFault(parseRulePattern(filter, action)) ? undefined : filter;
}

/** The ways to give the role to the subject: by a grant that exists, or by a binding. */
function heldBy(
  policy: Policy,
  { subject, at }: ExplainRequest,
  { role, given }: Candidate,
): { text: string; place: Place | undefined; changed: Policy }[] {
  const [grant] = given;
  if (grant) {
    const index = Number(/\[(\d+)\]/.exec(grant.path)?.[1]);
    const isEarly = grant.from !== undefined && grant.from > at;
    const key = isEarly ? "from" : "until";
    // A grant counts before its end: the next minute ends it behind this moment.
    const time = new Date(
      isEarly ? Math.floor(at / 60_000) * 60_000 : (Math.floor(at / 60_000) + 1) * 60_000,
    );
    const value = time.toISOString().replace(".000Z", "Z");
    const grants = policy.grants.map((one, i) => (i === index ? { ...one, [key]: value } : one));
    const text = `let the grant of ${role.name} ${isEarly ? "begin" : "end"} at ${value} or ${isEarly ? "before" : "later"}`;
    return [{ text, place: grant.place, changed: { ...policy, grants } }];
  }
  if (role.requires !== undefined) return []; // a binding cannot give it
  const { id } = subject;
  const binding = { role: role.name, to: id, line: 1, column: 1 };
  const text = `add the binding { role: ${role.name}, to: "${printable(id)}" }`;
  const changed = { ...policy, bindings: [...policy.bindings, binding] };
  return [{ text, place: policy.bindings.at(-1), changed }];
}

function withRule(
  policy: Policy,
  role: Role,
  action: Action,
  index: number,
  filter: string,
): Policy {
  const rules = role[action].map((rule, i) => (i === index ? { ...rule, filter } : rule));
  const roles = policy.roles.map((one) => (one === role ? { ...role, [action]: rules } : one));
  return { ...policy, roles };
}

/** A rule of its own in a role that the subject has, for what no rule comes near. */
function newRules(policy: Policy, request: ExplainRequest): readonly Edit[] {
  const { subject, action, at } = request;
  const asked = askedOf(request);
  const filter = asked && ruleFilter(filterFor(asked, subject.attributes), request);
  if (filter === undefined) return [];
  const held = assignmentsOf(policy).find(
    (one) => selects(one.selector, subject) && countsAt(one, at) && one.where === undefined,
  );
  const heldName = held?.role ?? subject.roles?.[0];
  const role = policy.roles.find(({ name }) => name === heldName);
  if (!role) return [];
  const rule: Rule = { filter, line: role.line, column: role.column };
  const changed = { ...role, [action]: [...role[action], rule] };
  const roles = policy.roles.map((one) => (one === role ? changed : one));
  const text = `add "${filter}" to ${action} of the role ${role.name}`;
  return [{ cost: 3, text: [text], place: role, changed: { ...policy, roles } }];
}
