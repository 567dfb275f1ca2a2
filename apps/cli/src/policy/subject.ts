import { printable } from "@wardmq/events";
import { type Action, faultOfFilter, type Policy, type Subject, tokenRoles } from "@wardmq/policy";
import { type MappedRole, mappedRoles } from "@wardmq/tokens";
import { ask } from "../ask.ts";
import { Failure } from "../failure.ts";
import { loadConfig } from "../preflight.ts";

/** What is said of a subject that the registry does not know. */
export interface Given {
  /** `ward=icu-3`; the organisation of a person or an app is the deployment's. */
  readonly attribute?: readonly string[];
  /** `groups=nurses`: of the token of a person or an app. */
  readonly claim?: readonly string[];
}

/** A subject, and what the policy makes of the claims of its token. */
export interface Asking {
  readonly subject: Subject;
  readonly mapped: readonly MappedRole[];
  /** What is not known of it. */
  readonly remark?: string;
}

const claimsUnnamed =
  "the roles of a token come from its claims, and none were named: write --claim groups=nurses, and --attribute ward=icu-3 for what else it says";

/**
 * The subject of this id as the registry of a deployment knows it, or as `--attribute` and `--claim` say of one that has
 * no record.
 */
export async function subjectOf(
  id: string,
  { attribute: given = [], claim = [] }: Given,
  policy: Policy,
  directory: string,
): Promise<Asking> {
  const [, kind, name] = /^(device|service|person|app):([A-Za-z0-9_-]{1,64})$/.exec(id) ?? [];
  if (kind === undefined || name === undefined) {
    const hint = "write device:UUID, service:NAME, person:NAME or app:NAME";
    throw new Failure(2, `"${printable(id, 80)}" names no subject`, hint);
  }
  const isOfToken = kind === "person" || kind === "app";
  if (claim.length > 0 && !isOfToken) {
    throw new Failure(2, `a ${kind} has no token`, "leave --claim out, or name a person or an app");
  }
  const mapped = claim.length === 0 ? [] : mappedTo(name, claim, policy);
  const record = await recordOf(id, kind, given.length > 0);
  const attributes = {
    ...record?.attributes,
    ...Object.fromEntries(given.map(parsePair)),
    ...(isOfToken ? organisationOf(directory, given) : {}),
    id: name,
  };
  const roles = mapped.flatMap(({ role, missing }) => (missing === undefined ? role : []));
  const subject = { id, kind: kind as Subject["kind"], attributes, roles };
  return { subject, mapped, ...(isOfToken && claim.length === 0 ? { remark: claimsUnnamed } : {}) };
}

/** Whatever a token says, its subject is of the deployment's own organisation. */
function organisationOf(directory: string, given: readonly string[]): { readonly org: string } {
  const { org } = loadConfig(directory, []).settings;
  const other = given.find((one) => one.startsWith("org=") && one !== `org=${org}`);
  if (other === undefined) return { org };
  throw new Failure(2, `whoever comes with a token is of ${org}`, `leave "${other}" out`);
}

/** The roles that claims give; the id of a person or an app begins with the name of its issuer. */
function mappedTo(name: string, given: readonly string[], policy: Policy): readonly MappedRole[] {
  const claims: Record<string, string[]> = {};
  for (const text of given) {
    const at = text.indexOf("=");
    const claim = text.slice(0, at);
    if (at < 1) throw new Failure(2, `"${printable(text, 80)}" is no claim`, "write groups=nurses");
    claims[claim] = [...(claims[claim] ?? []), text.slice(at + 1)];
  }
  const [issuer = ""] = name.split("_", 1);
  return mappedRoles(tokenRoles(policy), issuer, claims, false);
}

/** Nothing for people and apps, who have no record, and where attributes are given for one that is not registered. */
async function recordOf(id: string, kind: string, isGiven: boolean) {
  if (kind !== "device" && kind !== "service") return undefined;
  try {
    return await ask("show", { subject: id });
  } catch (error) {
    if (isGiven && error instanceof Failure) return undefined;
    throw error;
  }
}

/** `ward=icu-3`, in the closed alphabet. */
export function parsePair(text: string): [string, string] {
  const [, name, value] = /^(\w+)=([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new Failure(2, `"${printable(text, 80)}" is no attribute`, "write it as ward=icu-3");
}

export function actionOf(word: string): Action {
  if (word === "publish" || word === "subscribe") return word;
  throw new Failure(2, `"${printable(word, 80)}" is no action`, "write publish or subscribe");
}

/** A Topic Filter, in which an attribute may stand in braces as in a rule. */
export function filterOf(text: string): string {
  const fault = faultOfFilter(text);
  if (fault === undefined) return text;
  const { message, hint } = fault;
  throw new Failure(2, `"${printable(text, 80)}" is no topic filter: ${message}`, hint);
}

/** Milliseconds since 1970 of `--at`, or now. */
export function timeOf(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return at;
  throw new Failure(2, `"${printable(text, 80)}" is no time`, "write it as 2026-11-27T08:00:00Z");
}
