import { parseBindingTarget } from "../language/binding-target.ts";
import {
  type Binding,
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

/** A role given to somebody, by a binding or a grant. */
export interface Assignment {
  readonly role: string;
  readonly selector: Selector;
  /** `bindings[2]`. */
  readonly path: string;
  readonly place: Place;
  readonly where?: Where;
  /** Milliseconds since 1970, for a grant: it counts from `from` on and before `until`. */
  readonly from?: number;
  readonly until?: number;
}

/** To whom an assignment gives its role, as the policy writes it; without one, a role that only tokens give. */
export function receiverOf(policy: Policy, assignment: Assignment | undefined): string {
  if (!assignment) return "whoever has the role by a token";
  const [, list, index] = /^(bindings|grants)\[(\d+)\]$/.exec(assignment.path) ?? [];
  return policy[list as "bindings" | "grants"][Number(index)]?.to ?? "";
}

/** Everything that gives a role to somebody, in the order of the file. */
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
