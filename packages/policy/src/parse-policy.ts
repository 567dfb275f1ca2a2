import { printable } from "@wardmq/events";
import { parseBindingTarget } from "./binding-target.ts";
import { suggestion } from "./closest.ts";
import {
  type Action,
  actions,
  type Binding,
  namePattern,
  type Policy,
  policyLimits,
  type Role,
  type Rule,
} from "./policy.ts";
import { isFault, parseRulePattern } from "./rule-pattern.ts";
import { type Entry, type Node, pathOf, YamlReader } from "./yaml-reader.ts";

const filterList = '["{org}/{site}/{ward}/device/{id}/telemetry"]';
const roleExample = `publish: ${filterList}`;
const bindingExample = '{ role: bedside-device, to: "device:*" }';

/** The policy of the text of a `policy.yaml`; throws a PolicyError that lists everything that is wrong with it. */
export function parsePolicy(text: string, file = "policy.yaml"): Policy {
  const reader = new YamlReader(text, file);
  const policy = readPolicy(reader, reader.open());
  reader.finish();
  return policy;
}

function readPolicy(reader: YamlReader, node: Node): Policy {
  const denyAll = 'a policy that allows nothing says so: "roles: {}"';
  const isNothing = node === null || ("value" in node && node.value === null);
  if (isNothing) {
    reader.fail(0, "", "expected roles and bindings, found nothing", denyAll);
    return { roles: [], bindings: [] };
  }
  const at = node.range[0];
  const fields = reader.fields(node, at, "", ["roles", "bindings"], "roles: and bindings:");
  if (fields && !fields.roles) reader.fail(at, "roles", "expected roles, found none", denyAll);
  const roles = fields?.roles ? readRoles(reader, fields.roles) : [];
  const names = roles.map(({ name }) => name);
  const bindings = fields?.bindings ? readBindings(reader, fields.bindings, new Set(names)) : [];
  const rules = roles.reduce((sum, role) => sum + role.publish.length + role.subscribe.length, 0);
  if (fields?.roles && rules > policyLimits.rules) {
    const message = `expected at most ${policyLimits.rules} rules, found ${rules}`;
    reader.fail(fields.roles.keyAt, "roles", message, "use braces and wildcards");
  }
  return { roles, bindings };
}

function readRoles(reader: YamlReader, { value, at }: Entry): Role[] {
  const hint = 'write a name for each role, or "roles: {}" to allow nothing';
  const entries = reader.entries(value, at, "roles", "a map of roles", hint) ?? [];
  return entries.map((entry) => {
    const path = pathOf("roles", entry.key);
    if (!namePattern.test(entry.key)) {
      const message = `expected a role name, found "${printable(entry.key, 64)}"`;
      reader.fail(entry.keyAt, path, message, "use 1 to 64 letters, digits, _ or -");
    }
    const fields = reader.fields(entry.value, entry.at, path, actions, roleExample);
    return {
      name: entry.key,
      ...reader.place(entry.keyAt),
      publish: readRules(reader, fields?.publish, `${path}.publish`, "publish"),
      subscribe: readRules(reader, fields?.subscribe, `${path}.subscribe`, "subscribe"),
    };
  });
}

function readRules(
  reader: YamlReader,
  entry: Entry | undefined,
  path: string,
  action: Action,
): Rule[] {
  if (!entry) return [];
  const items = reader.items(entry, path, "a list of topic filters", `write ${filterList}`);
  return items.flatMap(({ node, at }, index) => {
    const itemPath = `${path}[${index}]`;
    const text = reader.text(node, at, itemPath, "a topic filter");
    if (!text) return [];
    const pattern = parseRulePattern(text.value, action);
    if (isFault(pattern)) {
      reader.fail(text.offsetAt(pattern.at), itemPath, pattern.message, pattern.hint);
    }
    return [{ filter: text.value, ...reader.place(at) }];
  });
}

function readBindings(reader: YamlReader, entry: Entry, roles: ReadonlySet<string>): Binding[] {
  const items = reader.items(entry, "bindings", "a list of bindings", `write - ${bindingExample}`);
  return items.flatMap(({ node, at }, index) => {
    const path = `bindings[${index}]`;
    const fields = reader.fields(node, at, path, ["role", "to"], bindingExample);
    if (!fields) return [];
    const role = readField(reader, fields.role, at, path, "role", "a role's name");
    const to = readField(reader, fields.to, at, path, "to", "a device or service");
    if (role && !roles.has(role.value)) {
      const message = `expected a role of this file, found "${printable(role.value, 64)}"`;
      const hint = () =>
        suggestion(
          role.value,
          [...roles].filter((name) => namePattern.test(name)),
        );
      reader.fail(role.offsetAt(0), `${path}.role`, message, hint);
    }
    const target = to && parseBindingTarget(to.value);
    if (target && "hint" in target) {
      const message = `expected a device or service, found "${printable(to.value, 64)}"`;
      reader.fail(to.offsetAt(0), `${path}.to`, message, target.hint);
    }
    return role && to ? [{ role: role.value, to: to.value, ...reader.place(at) }] : [];
  });
}

function readField(
  reader: YamlReader,
  entry: Entry | undefined,
  at: number,
  path: string,
  key: string,
  what: string,
): ReturnType<YamlReader["text"]> {
  if (entry) return reader.text(entry.value, entry.at, `${path}.${key}`, what);
  reader.fail(at, path, `expected the key ${key}, found none`, `write ${bindingExample}`);
  return undefined;
}
