/** Who acts. `id` is `<kind>:<attributes.id>`; attributes come from the subject's record, or its token, only. */
export interface Subject {
  readonly id: string;
  readonly kind: "device" | "service" | "person" | "app";
  /** Always has `org` and `id`; a device has `site` and `ward` as well. Values: `[A-Za-z0-9_-]{1,64}`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** Roles that its token gives it, beside those that are bound to it; one the policy does not have gives nothing. */
  readonly roles?: readonly string[];
}

export type Effect = "Permit" | "Deny";

export interface Decision {
  readonly effect: Effect;
  readonly because: "Permit" | "Deny" | "NotApplicable" | "Indeterminate";
  /** `role/publish[0]`: the rule that permitted, or nothing when no rule applied. */
  readonly ruleId: string | undefined;
  /** One sentence for an operator: what would change a Deny. Never holds untrusted text unescaped. */
  readonly hint: string | undefined;
}

/** What one subject may do under one compiled policy. Immutable; made once per subject and policy. */
export interface SubjectRights {
  readonly subject: Subject;
  /** `topicName` is a well-formed Topic Name after alias resolution. A name that begins with `$` is denied. */
  decidePublish(topicName: string): Decision;
  /**
   * Permit only if every Topic Name the filter can match is allowed by one rule (set inclusion).
   * `$share/<group>/` is stripped by the caller.
   */
  decideSubscribe(topicFilter: string): Decision;
  /** Whether a message on this concrete name may be delivered: a subscribe rule matches it. */
  decideReceive(topicName: string): Decision;
}

export interface CompiledPolicy {
  rightsOf(subject: Subject): SubjectRights;
}
