import fc from "fast-check";
import { type CompiledPolicy, compilePolicy, parsePolicy, type Subject } from "../src/index.ts";

export const uuid = "5f0e3b1c-8d2a-4f6e-9b7c-000000000001";
export const otherUuid = "5f0e3b1c-8d2a-4f6e-9b7c-000000000002";

export interface Rules {
  readonly publish?: readonly string[];
  readonly subscribe?: readonly string[];
}

/** A policy of roles by name and bindings as `role -> to`, through the parser as a file would go. */
export function compiled(
  roles: Readonly<Record<string, Rules>>,
  bindings: readonly (readonly [role: string, to: string])[],
): CompiledPolicy {
  return compilePolicy(parsePolicy(policyText(roles, bindings)));
}

/** The text of such a policy; JSON is YAML. */
export function policyText(
  roles: Readonly<Record<string, Rules>>,
  bindings: readonly (readonly [role: string, to: string])[],
): string {
  return JSON.stringify({
    topics: { schema: "off" },
    roles,
    bindings: bindings.map(([role, to]) => ({ role, to })),
  });
}

/** A device in ward icu-1 of the site main of st-anna; `attributes` replace its own. */
export function device(id = uuid, attributes: Readonly<Record<string, string>> = {}): Subject {
  const own = { org: "st-anna", site: "main", ward: "icu-1", id };
  return { id: `device:${id}`, kind: "device", attributes: { ...own, ...attributes } };
}

/** A service of st-anna. */
export function service(name: string, org = "st-anna"): Subject {
  return { id: `service:${name}`, kind: "service", attributes: { org, id: name } };
}

/** Any text, lone surrogates too. */
export const anyText = fc.string({
  unit: fc.oneof(fc.nat(0xff), fc.nat(0xffff)).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});
