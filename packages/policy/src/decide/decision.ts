import type { SubjectKind } from "../language/policy.ts";
import type { PhiGuard } from "../phi/phi-guard.ts";
import type { Exchange } from "./exchange.ts";
import type { Terms } from "./terms.ts";
import type { TokenRole } from "./token-roles.ts";

/** Who acts. `id` is `<kind>:<attributes.id>`; attributes come from the subject's record, or its token, only. */
export interface Subject {
  readonly id: string;
  readonly kind: SubjectKind;
  /** Always has `org` and `id`; a device has `site` and `ward` as well. Values: `[A-Za-z0-9_-]{1,64}`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Roles that its token gives it, beside those that are bound to it; one the policy does not have gives nothing. */
  readonly roles?: readonly string[];
}

export type Effect = "Permit" | "Deny";

export interface Decision {
  readonly effect: Effect;
  readonly because: "Permit" | "Deny" | "NotApplicable" | "Indeterminate";
  /**
   * The rule that decided: `role/publish[0]`, `deny[0]/publish[0]`, or `topics` for the topic schema; nothing when no
   * rule applied. Where only several rules together allow a filter, it has all their ids.
   */
  readonly ruleId: string | undefined;
  /** One sentence for an operator: what would change a Deny. Never holds untrusted text unescaped. */
  readonly hint: string | undefined;
  /** The highest QoS that a Permit is for; 0 of a Deny. */
  readonly qos: number;
  /** What the rules that permit want of a message: one of these must be kept to. */
  readonly terms: readonly Terms[];
  /** Of a Permit to publish a command or an answer: what the broker is to watch over. */
  readonly exchange?: Exchange;
}

/** Limits of a subject by its roles: the strictest of each. */
export interface SubjectLimits {
  readonly messagesPerSecond?: number;
  readonly bytesPerSecond?: number;
  readonly connections?: number;
  readonly inflight?: number;
}

/** What one subject may do under one compiled policy. Immutable; made once per subject, policy and time. */
export interface SubjectRights {
  readonly subject: Subject;
  readonly limits: SubjectLimits;
  /** `topicName` is a well-formed Topic Name after alias resolution. A name that begins with `$` is denied. */
  decidePublish(topicName: string): Decision;
  /**
   * Permit only if every Topic Name the filter can match is allowed (set inclusion), and none is denied.
   * `$share/<group>/` is stripped by the caller.
   */
  decideSubscribe(topicFilter: string): Decision;
  /** Whether a message on this concrete name may be delivered. */
  decideReceive(topicName: string): Decision;
}

export interface CompiledPolicy {
  /** Looks for identifiers of patients in what clients write. */
  readonly phi: PhiGuard;
  /** Whether any role has limits; where none has, those of no subject need to be worked out. */
  readonly hasLimits: boolean;
  /** Which roles the claims of a token give. */
  readonly tokenRoles: readonly TokenRole[];
  /** The rights of a subject at a time, in milliseconds since 1970; without one, no grant counts. */
  rightsOf(subject: Subject, at?: number): SubjectRights;
  /** When the next grant begins or ends after this time; Infinity when none does. */
  nextChange(at: number): number;
}
