/** What an operator may do in a policy: send Application Messages, or ask for them. */
export type Action = "publish" | "subscribe";

export const actions = ["publish", "subscribe"] as const satisfies readonly Action[];

/** One line of a role: the topic filter as written, and where. */
export interface Rule {
  readonly filter: string;
  readonly line: number;
  readonly column: number;
}

/** A named set of rules; `ruleId` is `<name>/<action>[<index>]`. */
export interface Role {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly publish: readonly Rule[];
  readonly subscribe: readonly Rule[];
}

/** Who gets a role: `device:*`, `device:<uuid>`, `service:*` or `service:<name>`. */
export interface Binding {
  readonly role: string;
  readonly to: string;
  readonly line: number;
  readonly column: number;
}

/** A policy as plain JSON; lists keep the file's order, and names are values, never keys. */
export interface Policy {
  readonly roles: readonly Role[];
  readonly bindings: readonly Binding[];
}

/** What a policy may hold; larger ones are refused whole. */
export const policyLimits = {
  fileBytes: 1_048_576,
  rules: 2_000,
  filterBytes: 1024,
  filterLevels: 64,
} as const;

/** The attributes of a subject's record that braces may name, and which kinds of subject have them. */
export const attributes = {
  org: { device: "always", service: "always", summary: "the organisation" },
  site: { device: "always", service: "never", summary: "the site the device stands in" },
  ward: { device: "always", service: "never", summary: "the ward the device stands in" },
  id: { device: "always", service: "always", summary: "the device's uuid or the service's name" },
  model: {
    device: "perhaps",
    service: "never",
    summary: "the device's model, where one is recorded",
  },
} as const satisfies Record<
  string,
  Record<"device" | "service", "always" | "perhaps" | "never"> & { summary: string }
>;

export type AttributeName = keyof typeof attributes;

export const attributeNames = Object.keys(attributes) as readonly AttributeName[];

/** The closed alphabet of attribute values, service names and role names. */
export const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** The identifier of a device: a uuid in lower case. */
export const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The `ruleId` of a role's rule. */
export function ruleIdOf(role: string, action: Action, index: number): string {
  return `${role}/${action}[${index}]`;
}
