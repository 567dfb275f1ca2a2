import { printable } from "@wardmq/events";
import { parseBindingTarget } from "../language/binding-target.ts";
import {
  type Binding,
  type ClaimRule,
  type Grant,
  type Place,
  type Policy,
  placeAttributes,
  type SubjectKind,
  type Where,
} from "../language/policy.ts";
import type { Subject } from "./decision.ts";

/** Which subjects something is for: all that keep to every part that is there. */
export interface Selector {
  readonly kind?: SubjectKind;
  /** `device:<uuid>` and its like. */
  readonly id?: string;
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
}

/** A role given to somebody, by a binding, a grant or the claims of a token. */
export interface Assignment {
  readonly role: string;
  readonly selector: Selector;
  /** `bindings[2]`, `grants[0]`, `claims[1]`. */
  readonly path: string;
  readonly place: Place;
  readonly where?: Where;
  /** Milliseconds since 1970, for a grant: it counts from `from` on and before `until`. */
  readonly from?: number;
  readonly until?: number;
}

/** To whom an assignment gives its role, as the policy writes it; without one, a role that nobody has. */
export function receiverOf(policy: Policy, assignment: Assignment | undefined): string {
  if (!assignment) return "nobody yet";
  const [, list, at] = /^(bindings|grants|claims)\[(\d+)\]$/.exec(assignment.path) ?? [];
  const index = Number(at);
  const claim = list === "claims" ? policy.claims[index] : undefined;
  if (claim !== undefined) return describeClaim(claim);
  return policy[list as "bindings" | "grants"][index]?.to ?? "";
}

/** `tokens of hospital with groups = nurses`. */
export function describeClaim({ issuer, claim, value }: Omit<ClaimRule, keyof Place>): string {
  return `tokens of ${issuer} with ${printable(claim.join("."))} = ${printable(value)}`;
}

/**
 * What claims give: to any person or app, for which of them holds the claim only a token says. A broker gives these by
 * the token and never by the subject; who asks what is possible counts them beside `assignmentsOf`.
 */
export function claimAssignments({ claims }: Policy): readonly Assignment[] {
  return claims.flatMap((claim, i) =>
    (["person", "app"] as const).map((kind) => ({
      role: claim.role,
      selector: { kind },
      path: `claims[${i}]`,
      place: claim,
    })),
  );
}

/** Everything that gives a role to somebody by name or group, in the order of the file. */
export function assignmentsOf(policy: Policy): readonly Assignment[] {
  const base = (one: Binding, path: string) => ({
    role: one.role,
    selector: selectorOf(one.to, policy),
    path,
    place: one,
    ...(one.where === undefined ? {} : { where: one.where }),
  });
  return [
    ...policy.bindings.map((binding, i) => base(binding, `bindings[${i}]`)),
    ...policy.grants.map((grant, i) => ({ ...base(grant, `grants[${i}]`), ...timesOf(grant) })),
  ];
}

function timesOf({ from, until }: Grant): { from: number; until: number } {
  return {
    from: from === undefined ? Number.NEGATIVE_INFINITY : Date.parse(from),
    until: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until),
  };
}

/** The selector of a `to`; none, where nothing is written, is everybody. */
export function selectorOf(to: string | undefined, { groups }: Pick<Policy, "groups">): Selector {
  if (to === undefined) return {};
  const target = parseBindingTarget(to);
  if ("hint" in target) throw new TypeError(`not a subject: ${target.hint}`);
  if (!("group" in target)) {
    return target.every ? { kind: target.kind } : { kind: target.kind, id: target.id };
  }
  const group = groups.find(({ name }) => name === target.group);
  if (!group) throw new TypeError("not a group of the policy");
  const attributes = Object.fromEntries(
    placeAttributes.flatMap((name) => {
      const values = group[name];
      return values === undefined ? [] : [[name, values]];
    }),
  );
  return { kind: group.kind, attributes };
}

/** Whether a subject is one of those that are meant. */
export function selects({ kind, id, attributes }: Selector, subject: Subject): boolean {
  if (kind !== undefined && kind !== subject.kind) return false;
  if (id !== undefined && id !== subject.id) return false;
  for (const [name, values] of Object.entries(attributes ?? {})) {
    const value = subject.attributes[name];
    if (value === undefined || !values.includes(value)) return false;
  }
  return true;
}

/** Whether an assignment counts at a time; without a time, a grant does not. */
export function countsAt({ from, until }: Assignment, at: number | undefined): boolean {
  if (from === undefined || until === undefined) return true;
  return at !== undefined && from <= at && at < until;
}
