import type { LoginDemand, RoleMapping } from "./issuer.ts";
import { type Claims, claimOf } from "./parse-token.ts";

export type TokenAction = "publish" | "subscribe";

/** What the scopes of a token leave of its rights. */
export interface Narrowing {
  readonly actions: readonly TokenAction[];
  /** The only roles that are wanted; undefined when no scope speaks of roles. */
  readonly roles: readonly string[] | undefined;
}

const prefix = "wardmq:";
const rolePrefix = "role:";
const both: readonly TokenAction[] = ["publish", "subscribe"];

/**
 * Scopes that begin with `wardmq:` narrow and never widen: `wardmq:publish` and `wardmq:subscribe` leave these actions
 * only, `wardmq:role:NAME` these roles only. Undefined for one that is unknown: what it should have narrowed is not known.
 */
export function narrowingOf(claims: Claims): Narrowing | undefined {
  const ours = new Set(
    scopesOf(claims)
      .filter((scope) => scope.startsWith(prefix))
      .map((scope) => scope.slice(prefix.length)),
  );
  const actions = both.filter((action) => ours.has(action));
  const roles = [...ours]
    .filter((scope) => scope.startsWith(rolePrefix))
    .map((scope) => scope.slice(rolePrefix.length));
  if (actions.length + roles.length < ours.size) return undefined;
  return {
    actions: actions.length === 0 ? both : actions,
    roles: roles.length === 0 ? undefined : roles,
  };
}

/** `scope` of RFC 8693 section 4.2, a text with spaces; some issuers write `scp`, or a list. */
function scopesOf(claims: Claims): readonly string[] {
  return ["scope", "scp"].flatMap((name) => {
    const value = claimOf(claims, name);
    if (typeof value === "string") return value.split(" ");
    return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
  });
}

/** A role of the mapping: given, or the condition that keeps it away. */
export interface MappedRole {
  readonly role: string;
  readonly missing: string | undefined;
}

/** What the mapping has to say of an issuer's claims, in its order; rows whose claim does not agree are left out. */
export function mappedRoles(
  mapping: readonly RoleMapping[],
  issuer: string,
  claims: Claims,
  isBound: boolean,
): readonly MappedRole[] {
  return mapping
    .filter((row) => row.issuer === issuer && holds(claimAt(claims, row.claim), row.value))
    .map((row) => ({ role: row.role, missing: missingFor(row, claims, isBound) }));
}

function missingFor(row: RoleMapping, claims: Claims, isBound: boolean): string | undefined {
  const lack = lackOfLogin(row, claims);
  if (lack !== undefined) return lack;
  if (row.certificateBound === true && !isBound) return "a token bound to the certificate";
  return undefined;
}

/** What the way somebody logged in lacks of the one that is asked for; undefined where it is good enough. */
export function lackOfLogin(wanted: LoginDemand, claims: Claims): string | undefined {
  const acr = claimOf(claims, "acr");
  if (wanted.acr !== undefined && !wanted.acr.some((one) => one === acr)) {
    return `acr ${wanted.acr.join(" or ")}`;
  }
  const amr = claimOf(claims, "amr");
  const absent = wanted.amr?.find((one) => !holds(amr, one));
  return absent === undefined ? undefined : `amr ${absent}`;
}

function claimAt(claims: Claims, claim: RoleMapping["claim"]): unknown {
  let value: unknown = claims;
  for (const name of claim) {
    if (typeof value !== "object" || value === null) return undefined;
    value = claimOf(value as Claims, name);
  }
  return value;
}

function holds(value: unknown, wanted: string): boolean {
  return value === wanted || (Array.isArray(value) && value.includes(wanted));
}
