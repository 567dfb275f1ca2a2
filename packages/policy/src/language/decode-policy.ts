import { printable } from "@wardmq/events";
import { boundLogin, countRules, giveByClaims, policyShape, tooManyRules } from "./language.ts";
import { namePattern, type Policy, policyLimits } from "./policy.ts";
import { PolicyError } from "./policy-error.ts";
import { type RecordShape, required, type Shape, type TextShape } from "./shape.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A Policy that came as JSON, checked as strictly as the text it was made of; throws a PolicyError. */
export function decodePolicy(value: unknown): Policy {
  checkFields(policyShape, value, "policy", []);
  const policy = value as Policy;
  const count = countRules(policy);
  if (count > policyLimits.rules) refuse("roles", tooManyRules(count));
  checkReferences(policy);
  return policy;
}

function checkReferences({ roles, groups, bindings, grants, claims, deny }: Policy): void {
  const roleNames = new Set(roles.map(({ name }) => name));
  const groupNames = new Set(groups.map(({ name }) => name));
  if (roleNames.size !== roles.length) refuse("roles", "two roles have one name");
  if (groupNames.size !== groups.length) refuse("groups", "two groups have one name");
  for (const { role } of [...bindings, ...grants, ...claims]) {
    if (!roleNames.has(role)) refuse("bindings", "not a role of this policy");
  }
  const given = new Set([...bindings, ...grants].map(({ role }) => role));
  for (const { name, requires } of roles) {
    if (requires !== undefined && given.has(name)) {
      refuse("bindings", boundLogin(name), giveByClaims);
    }
  }
  for (const { to = "" } of [...bindings, ...grants, ...deny]) {
    if (to.startsWith("group:") && !groupNames.has(to.slice("group:".length))) {
      refuse("bindings", "not a group of this policy");
    }
  }
}

function check(shape: Shape, value: unknown, path: string): void {
  switch (shape.is) {
    case "text":
      checkText(shape, value, path);
      return;
    case "number":
      if (!Number.isInteger(value)) refuse(path, "not a whole number");
      if (Number(value) < shape.minimum || Number(value) > shape.maximum) refuse(path, "too large");
      return;
    case "truth":
      if (typeof value !== "boolean") refuse(path, "not true or false");
      return;
    case "list":
      if (shape.orOne && listOf(value, path).length === 0) refuse(path, "an empty list");
      for (const [i, item] of listOf(value, path).entries()) check(shape.of, item, `${path}[${i}]`);
      return;
    case "record":
      checkFields(shape, value, path, placeKeys);
      return;
    case "short":
      checkFields(shape.record ?? only(shape.field, shape.text), value, path, placeKeys);
      return;
    case "named":
      for (const [i, item] of listOf(value, path).entries()) {
        const at = `${path}[${i}]`;
        const record =
          shape.as === undefined ? (shape.of as RecordShape) : only(shape.as, shape.of);
        checkFields(record, item, at, [...placeKeys, "name"]);
        const { name } = item as Fields;
        const isKnown = shape.names === undefined || shape.names.includes(String(name));
        if (typeof name !== "string" || !namePattern.test(name) || !isKnown) {
          refuse(`${at}.name`, `not ${shape.name}`);
        }
      }
  }
}

const placeKeys = ["file", "line", "column"] as const;

function only(field: string, shape: Shape): RecordShape {
  return { is: "record", example: "", fields: { [field]: required(shape, "") } };
}

function checkText({ oneOf, check }: TextShape, value: unknown, path: string): void {
  if (typeof value !== "string") refuse(path, "not a text");
  if (oneOf && !oneOf.includes(value)) refuse(path, `not one of ${oneOf.join(", ")}`);
  const fault = check?.(value);
  if (fault) refuse(path, fault.message, fault.hint);
}

function checkFields(
  { fields }: RecordShape,
  value: unknown,
  path: string,
  more: readonly string[],
): void {
  if (typeof value !== "object" || value === null) refuse(path, "not an object");
  const held = value as Fields;
  for (const key of Object.keys(held)) {
    if (Object.hasOwn(fields, key) || more.includes(key)) continue;
    refuse(path, `unknown key "${printable(key, 64)}"`);
  }
  for (const [key, { shape, isRequired, isFilled }] of Object.entries(fields)) {
    if (Object.hasOwn(held, key)) check(shape, held[key], `${path}.${key}`);
    // Lists that are left out were filled when the text was read, so one that is missing was lost on the way.
    else if (isRequired || isFilled) refuse(path, `${key} is missing`);
  }
  if (more.includes("line")) checkPlace(held, path);
}

function checkPlace({ file, line, column }: Fields, path: string): void {
  const isPlace = typeof line === "number" && typeof column === "number";
  if (!isPlace || (file !== undefined && typeof file !== "string")) refuse(path, "has no place");
}

function listOf(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) ? value : refuse(path, "not a list");
}

function refuse(path: string, message: string, hint = "make the policy with parsePolicy"): never {
  throw new PolicyError("policy", [{ line: 1, column: 1, path, message, hint }]);
}
