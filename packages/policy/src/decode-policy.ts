import { printable } from "@wardmq/events";
import { parseBindingTarget } from "./binding-target.ts";
import {
  type Action,
  actions,
  type Binding,
  namePattern,
  type Policy,
  policyLimits,
  type Role,
  type Rule,
  ruleIdOf,
} from "./policy.ts";
import { PolicyError } from "./policy-error.ts";
import { isFault, parseRulePattern } from "./rule-pattern.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A Policy that came as JSON, checked as strictly as the text it was made of; throws a PolicyError. */
export function decodePolicy(value: unknown): Policy {
  const { roles, bindings } = fieldsOf(value, "policy", ["roles", "bindings"]);
  const decodedRoles = listOf(roles, "roles").map(decodeRole);
  const names = new Set(decodedRoles.map(({ name }) => name));
  if (names.size !== decodedRoles.length) refuse("roles", "two roles have one name");
  const rules = decodedRoles.reduce((sum, r) => sum + r.publish.length + r.subscribe.length, 0);
  if (rules > policyLimits.rules) refuse("roles", "too many rules");
  const list = listOf(bindings, "bindings");
  return { roles: decodedRoles, bindings: list.map((item, i) => decodeBinding(item, i, names)) };
}

function decodeRole(value: unknown, index: number): Role {
  const path = `roles[${index}]`;
  const fields = fieldsOf(value, path, ["name", "line", "column", ...actions]);
  const name = textOf(fields["name"], `${path}.name`);
  if (!namePattern.test(name)) refuse(`${path}.name`, "not a role name");
  const rules = (action: Action) =>
    listOf(fields[action], `${path}.${action}`).map((item, i) => decodeRule(item, name, action, i));
  return {
    name,
    ...placeOf(fields, path),
    publish: rules("publish"),
    subscribe: rules("subscribe"),
  };
}

function decodeRule(value: unknown, role: string, action: Action, index: number): Rule {
  const path = ruleIdOf(role, action, index);
  const fields = fieldsOf(value, path, ["filter", "line", "column"]);
  const filter = textOf(fields["filter"], path);
  const pattern = parseRulePattern(filter, action);
  if (isFault(pattern)) refuse(path, pattern.message, pattern.hint);
  return { filter, ...placeOf(fields, path) };
}

function decodeBinding(value: unknown, index: number, roles: ReadonlySet<string>): Binding {
  const path = `bindings[${index}]`;
  const fields = fieldsOf(value, path, ["role", "to", "line", "column"]);
  const role = textOf(fields["role"], `${path}.role`);
  if (!roles.has(role)) refuse(`${path}.role`, "not a role of this policy");
  const to = textOf(fields["to"], `${path}.to`);
  const target = parseBindingTarget(to);
  if ("hint" in target) refuse(`${path}.to`, "not a device or service", target.hint);
  return { role, to, ...placeOf(fields, path) };
}

function fieldsOf(value: unknown, path: string, keys: readonly string[]): Fields {
  if (typeof value !== "object" || value === null) return refuse(path, "not an object");
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) refuse(path, `unknown key "${printable(unknown, 64)}"`);
  const missing = keys.find((key) => !Object.hasOwn(value, key));
  if (missing !== undefined) refuse(path, `${missing} is missing`);
  return value as Fields;
}

function listOf(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(path, "not a list");
}

function textOf(value: unknown, path: string): string {
  return typeof value === "string" ? value : refuse(path, "not a text");
}

function placeOf(fields: Fields, path: string): { line: number; column: number } {
  const { line, column } = fields as { line: unknown; column: unknown };
  if (typeof line !== "number" || typeof column !== "number") return refuse(path, "has no place");
  return { line, column };
}

function refuse(path: string, message: string, hint = "make the policy with parsePolicy"): never {
  throw new PolicyError("policy", [{ line: 1, column: 1, path, message, hint }]);
}
