/** What a policy lets a subject do: send Application Messages, or ask for them. */
export type Action = "publish" | "subscribe";

export const actions = ["publish", "subscribe"] as const satisfies readonly Action[];

/** Where something stands; `file` is there where the policy is a folder of files. */
export interface Place {
  readonly file?: string;
  readonly line: number;
  readonly column: number;
}

/** One line of a role: a topic filter, and what a message or a subscription must keep to. */
export interface Rule extends Place {
  readonly filter: string;
  /** The highest QoS; left out, 2. */
  readonly qos?: number;
  /** Publish only; left out, `never`. */
  readonly retain?: "never" | "allowed";
  /** Publish only: the longest life of a retained message, in seconds. */
  readonly retainSeconds?: number;
  /** Publish only: the longest payload, in bytes. */
  readonly payloadBytes?: number;
  /** Publish only: the Content Type a message must have. */
  readonly contentType?: string;
  /** Whether payloads must come in an envelope; left out, `optional`. */
  readonly envelope?: "required" | "optional";
}

/** Limits of the subjects of a role; the strictest of all roles and of `wardmq.yaml` counts. */
export interface RoleLimits extends Place {
  readonly messagesPerSecond?: number;
  readonly bytesPerSecond?: number;
  readonly connections?: number;
  readonly inflight?: number;
}

/** How somebody must have logged in; what is left out is not asked for. */
export interface LoginRequirement extends Place {
  /** The token's `acr` is one of these. */
  readonly acr?: readonly string[];
  /** The token's `amr` holds all of these, such as `mfa`. */
  readonly amr?: readonly string[];
  /** The token is bound to the certificate of the connection (RFC 8705). */
  readonly certificateBound?: boolean;
}

/** A named set of rules; `ruleId` is `<name>/<action>[<index>]`. */
export interface Role extends Place {
  readonly name: string;
  /** Such a role is given by `claims` only. */
  readonly requires?: LoginRequirement;
  readonly publish: readonly Rule[];
  readonly subscribe: readonly Rule[];
  readonly limits?: RoleLimits;
}

/** Devices and services have records and certificates; people and apps have tokens. */
export const subjectKinds = ["device", "service", "person", "app"] as const;

export type SubjectKind = (typeof subjectKinds)[number];

/** Values of attributes that must all be equal, of those that are written. */
export interface Where extends Place {
  readonly org?: string;
  readonly site?: string;
  readonly ward?: string;
  readonly model?: string;
}

/** Subjects of one kind whose attributes are among these. */
export interface Group extends Place {
  readonly name: string;
  readonly kind: SubjectKind;
  readonly org?: readonly string[];
  readonly site?: readonly string[];
  readonly ward?: readonly string[];
  readonly model?: readonly string[];
}

/** Who gets a role: `device:*`, `service:<name>`, `group:<name>` and their like. */
export interface Binding extends Place {
  readonly role: string;
  readonly to: string;
  /** Narrows the role to topics of this place. */
  readonly where?: Where;
}

/** A role for a time: it begins and ends by itself. */
export interface Grant extends Binding {
  /** ISO 8601 in UTC, as `2026-11-27T08:00:00Z`; left out, from the beginning. */
  readonly from?: string;
  /** Left out, without end, which is a finding. */
  readonly until?: string;
  readonly reason: string;
  readonly approvedBy: string;
}

/** A claim of tokens that gives a role: exact values only. */
export interface ClaimRule extends Place {
  readonly role: string;
  /** As issuers.yaml names it. */
  readonly issuer: string;
  /** The names on the way to the claim: one, or more where it lies inside of objects. */
  readonly claim: readonly string[];
  /** The text the claim is, or one of the texts of the list it is. */
  readonly value: string;
}

/** What nobody it names may do, whatever roles they have. `ruleId` is `deny[<index>]/<action>[<index>]`. */
export interface DenyRule extends Place {
  readonly to?: string;
  readonly publish: readonly DenyFilter[];
  readonly subscribe: readonly DenyFilter[];
  readonly reason: string;
}

export interface DenyFilter extends Place {
  readonly filter: string;
}

/** What every topic of a tenant looks like. */
export interface Topics extends Place {
  readonly schema?: "strict" | "off";
  readonly templates: readonly Template[];
  readonly levels: readonly LevelValues[];
  /** Left out, the standard one; of topics whose schema is off, none. */
  readonly commands?: readonly CommandTopic[];
}

/** Topics on which commands go to a device, whose answers the broker watches over. */
export interface CommandTopic extends Place {
  /** A template with `{uuid}`, the device that is addressed. */
  readonly topic: string;
  /** Seconds that an answer may take from the moment the broker takes the command. */
  readonly within?: number;
}

export interface Template extends Place {
  readonly template: string;
}

/** What may stand for a level in braces, as `channel`; a value may have several levels. */
export interface LevelValues extends Place {
  readonly name: string;
  readonly values: readonly string[];
}

/** An organisation that this policy is for; with none written, it is for whoever is registered. */
export interface Tenant extends Place {
  readonly name: string;
  readonly topics?: Topics;
}

/** Something that must never be possible under this policy; `docs/policy.md` says what each form means. */
export interface Assertion extends Place {
  readonly id: string;
  readonly never?: "publish" | "subscribe" | "retain" | "share" | "stray";
  readonly on: readonly DenyFilter[];
  readonly by: readonly string[];
  readonly except: readonly string[];
  readonly across: readonly string[];
}

/** An example of a decision that must come out so. */
export interface PolicyTest extends Place {
  readonly subject: string;
  readonly with?: Where;
  /** What its token gives it. */
  readonly roles?: readonly string[];
  readonly publish?: string;
  readonly subscribe?: string;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly at?: string;
  readonly expect: "Permit" | "Deny";
}

/** How text of clients is searched for identifiers of patients. */
export interface PhiPart extends Place {
  readonly mode?: "block" | "warn" | "off";
  readonly detectors: readonly PhiDetectorMode[];
  /** Patterns of this site's medical record numbers: `#` for a digit, `@` for a letter, all else as it is. */
  readonly recordNumbers: readonly string[];
  /** Words that are never a finding. */
  readonly allow: readonly string[];
}

export interface PhiDetectorMode extends Place {
  readonly name: string;
  readonly mode: "block" | "warn" | "off";
}

/** A policy as plain JSON; lists keep the file's order, and names are values, never keys. */
export interface Policy {
  readonly environment?: string;
  readonly tenants: readonly Tenant[];
  readonly topics?: Topics;
  readonly groups: readonly Group[];
  readonly roles: readonly Role[];
  readonly bindings: readonly Binding[];
  readonly grants: readonly Grant[];
  readonly claims: readonly ClaimRule[];
  readonly deny: readonly DenyRule[];
  readonly phi?: PhiPart;
  readonly assert: readonly Assertion[];
  readonly tests: readonly PolicyTest[];
}

/** What a policy may hold; larger ones are refused whole. */
export const policyLimits = {
  fileBytes: 4_194_304,
  rules: 20_000,
  filterBytes: 1024,
  filterLevels: 64,
} as const;

/** The attributes of a subject that braces may name, and which kinds of subject have them. */
export const attributes = {
  org: { device: "always", service: "always", token: "always", summary: "the organisation" },
  site: {
    device: "always",
    service: "never",
    token: "perhaps",
    summary: "the site the device stands in",
  },
  ward: {
    device: "always",
    service: "never",
    token: "perhaps",
    summary: "the ward the device stands in",
  },
  id: {
    device: "always",
    service: "always",
    token: "always",
    summary: "the device's uuid or the name of the service, person or app",
  },
  model: {
    device: "perhaps",
    service: "never",
    token: "never",
    summary: "the device's model, where one is recorded",
  },
} as const satisfies Record<
  string,
  Record<"device" | "service" | "token", "always" | "perhaps" | "never"> & { summary: string }
>;

/** Whether subjects of a kind have an attribute; people and apps have what their token says. */
export function hasAttribute(
  kind: SubjectKind,
  name: AttributeName,
): "always" | "perhaps" | "never" {
  return attributes[name][kind === "device" || kind === "service" ? kind : "token"];
}

export type AttributeName = keyof typeof attributes;

export const attributeNames = Object.keys(attributes) as readonly AttributeName[];

/** The attributes by which groups choose and bindings narrow. */
export const placeAttributes = ["org", "site", "ward", "model"] as const;

/** The closed alphabet of attribute values, service names and role names. */
export const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The identifier of a device: a uuid in lower case. */
export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** What may stand below a `#` of a template: no odd characters, which look like others or like nothing. */
export const segmentPattern = /^[A-Za-z0-9_.:~@-]{1,64}$/;

/** The `ruleId` of a role's rule. */
export function ruleIdOf(role: string, action: Action, index: number): string {
  return `${role}/${action}[${index}]`;
}

/** The `ruleId` of a filter of a deny rule. */
export function denyIdOf(index: number, action: Action, at: number): string {
  return `deny[${index}]/${action}[${at}]`;
}
