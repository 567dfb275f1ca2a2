import { controlListenerNames, listenerNames, printable } from "@wardmq/events";
import type { BrokerSettings, ListenerSettings } from "@wardmq/feed";
import { isAlias, isMap, isScalar, LineCounter, type ParsedNode, parseDocument, visit } from "yaml";
import { nearest } from "./nearest.ts";
import { type Option, options, type Value } from "./options.ts";
import { ConfigError, type Problem } from "./problem.ts";
import { checkValue } from "./value.ts";

/** A value that was written out and is weaker than what the option would be by itself. */
export interface Finding {
  readonly key: string;
  readonly value: Value;
  readonly message: string;
}

type ListenerPlace = Pick<ListenerSettings, "address" | "port">;

/** The listeners of control, which brokers have nothing to do with. */
export interface ControlListeners {
  readonly est: ListenerPlace & Pick<BrokerSettings["tls"], "minVersion">;
  readonly api: ListenerPlace;
}

/** What certificates say about where to ask about them; `{ca}` stands for the id of their issuer. */
export interface PublishedAddresses {
  readonly crl: readonly string[];
  readonly ocsp: readonly string[];
  readonly caIssuers: readonly string[];
}

export interface Config {
  readonly settings: BrokerSettings;
  readonly published: PublishedAddresses;
  /** The file that an older copy of the deployment is known by; "" where there is none. */
  readonly anchor: string;
  readonly controlListeners: ControlListeners;
  readonly findings: readonly Finding[];
  /** Where each key that was written stands. */
  readonly places: ReadonlyMap<string, Where>;
}

type Where = Pick<Problem, "file" | "line" | "column">;
/** What has been said so far: values by dotted key with their place, and everything that was wrong. */
interface Reading {
  readonly values: Map<string, { readonly value: Value; readonly at: Where }>;
  readonly problems: Problem[];
}

const byKey: ReadonlyMap<string, Option> = new Map(options.map((option) => [option.key, option]));
const groups: ReadonlySet<string> = new Set(
  options.flatMap(({ key }) => {
    const levels = key.split(".");
    return levels.slice(1).map((_, i) => levels.slice(0, i + 1).join("."));
  }),
);

/**
 * Parses the text of `wardmq.yaml`; `overrides` are `KEY=VALUE`, validated like the file.
 * Throws a ConfigError that lists everything that is wrong.
 */
export function parseConfig(
  text: string,
  overrides: readonly string[],
  file = "wardmq.yaml",
): Config {
  const reading: Reading = { values: new Map(), problems: [] };
  readFile(reading, text, file);
  const inFile = reading.problems.length;
  readOverrides(reading, overrides);
  // A file that is no YAML has no keys; that all of them are missing would hide what is wrong.
  if (inFile === 0) checkWhole(reading, file);
  if (reading.problems.length > 0) throw new ConfigError(reading.problems);
  const places = new Map([...reading.values].map(([key, { at }]) => [key, at] as const));
  return { ...settingsOf(reading), findings: findingsOf(reading), places };
}

function readFile(reading: Reading, text: string, file: string): void {
  const lines = new LineCounter();
  const at = (offset: number | undefined): Where => {
    const { line, col } = lines.linePos(offset ?? 0);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const { document, faults } = readYaml(text, lines);
  for (const { offset, message, hint } of faults) {
    reading.problems.push({ ...at(offset), key: "", message, hint });
  }
  if (faults.length === 0) readGroup(reading, document.contents, "", at);
}

interface Fault {
  readonly offset: number;
  readonly message: string;
  readonly hint: string;
}

/** YAML without what a settings file has no use for: tags, anchors, aliases. Duplicate keys are found later, by name. */
function readYaml(text: string, lineCounter = new LineCounter()) {
  const document = parseDocument(text, {
    lineCounter,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
  });
  const faults: Fault[] = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    offset: pos[0],
    message: `not valid YAML: ${printable(message.split("\n")[0] ?? "")}`,
    hint: "correct the line, its indentation and its quotes",
  }));
  visit(document, {
    Node: (_, node) => {
      if (!isAlias(node) && node.anchor === undefined) return;
      const message = "anchors and aliases are not used here";
      faults.push({ offset: node.range?.[0] ?? 0, message, hint: "write the value out" });
    },
  });
  return { document, faults };
}

function readGroup(
  reading: Reading,
  node: ParsedNode | null,
  prefix: string,
  at: (offset: number | undefined) => Where,
): void {
  if (node === null || (isScalar(node) && node.value === null)) return; // every key of it is commented out
  if (!isMap(node)) {
    const message =
      prefix === "" ? "the file has to be a group of keys" : "has to be a group of keys";
    const hint = "write each key with its value on a line of its own, such as org: hospital-1";
    reading.problems.push({ ...at(node.range?.[0]), key: prefix.slice(0, -1), message, hint });
    return;
  }
  const seen = new Set<string>();
  for (const { key: keyNode, value: valueNode } of node.items) {
    const key = prefix + String(isScalar(keyNode) ? keyNode.value : keyNode);
    const option = byKey.get(key);
    const keyAt = at(keyNode.range?.[0]);
    if (seen.has(key)) {
      const message = "stands here for the second time";
      reading.problems.push({ ...keyAt, key, message, hint: "leave one of them out" });
    } else if (option) {
      readValue(
        reading,
        option,
        valueNode?.toJSON() ?? null,
        valueNode ? at(valueNode.range?.[0]) : keyAt,
      );
    } else if (groups.has(key)) {
      readGroup(reading, valueNode, `${key}.`, at);
    } else {
      reading.problems.push({ ...keyAt, key, message: "is not a known key", hint: suggest(key) });
    }
    seen.add(key);
  }
}

function readValue(reading: Reading, option: Option, value: unknown, at: Where): void {
  const checked = checkValue(option, value);
  if (checked.ok) reading.values.set(option.key, { value: checked.value, at });
  else
    reading.problems.push({ ...at, key: option.key, message: checked.message, hint: checked.hint });
}

function readOverrides(reading: Reading, overrides: readonly string[]): void {
  const seen = new Set<string>();
  for (const override of overrides) {
    const equals = override.indexOf("=");
    const key = equals < 0 ? override : override.slice(0, equals);
    const at: Where = { file: `--set ${key}`, line: 0, column: 0 };
    const refuse = (message: string, hint: string) =>
      reading.problems.push({ ...at, key, message, hint });
    const option = byKey.get(key);
    if (equals < 0)
      refuse("has no value", "write --set KEY=VALUE, such as --set limits.connections=50000");
    else if (!option) refuse("is not a known key", suggest(key));
    else if (seen.has(key)) refuse("is given twice", "leave one of them out");
    else {
      const text = override.slice(equals + 1);
      const { document, faults } = readYaml(text);
      if (faults.length > 0) refuse("the value is not valid YAML", "put it in quotes");
      else readValue(reading, option, textOrValue(option, text, document.toJS()), at);
    }
    seen.add(key);
  }
}

/** On the command line quotes are a nuisance: where only a text can be meant, 17 and :: are texts. */
function textOrValue({ type }: Option, text: string, value: unknown): unknown {
  const isText = type.kind === "text" || type.kind === "choice";
  return isText && typeof value !== "string" && text !== "" ? text : value;
}

function suggest(key: string): string {
  if (groups.has(key)) return `it is a group: set one of its keys, such as ${firstOf(key)}`;
  const near = nearest(key, [...groups, ...byKey.keys()]);
  return near === undefined ? "docs/config.md lists all keys" : `did you mean ${near}?`;
}

function firstOf(group: string): string {
  return options.find(({ key }) => key.startsWith(`${group}.`))?.key ?? group;
}

/** What no single value can get wrong: keys that are missing, and values that do not fit each other. */
function checkWhole({ values, problems }: Reading, file: string): void {
  for (const { key, type, default: byItself } of options) {
    if (
      byItself !== undefined ||
      values.has(key) ||
      problems.some((problem) => problem.key === key)
    )
      continue;
    const hint = type.kind === "text" || type.kind === "list" ? type.form.hint : "write a value";
    problems.push({ file, line: 1, column: 1, key, message: "is missing", hint });
  }
  const shortest = numberOf(values, "limits.keepAliveSeconds.min");
  const longest = numberOf(values, "limits.keepAliveSeconds.max");
  if (shortest > longest) {
    const key = values.has("limits.keepAliveSeconds.min")
      ? "limits.keepAliveSeconds.min"
      : "limits.keepAliveSeconds.max";
    const at = values.get(key)?.at ?? { file, line: 1, column: 1 };
    const message = `the shortest keep alive (${shortest}) is longer than the longest (${longest})`;
    problems.push({ ...at, key, message, hint: "make min at most max" });
  }
  checkPorts(values, problems, file);
}

/** Two listeners that are open may not share address and port. */
function checkPorts(values: Reading["values"], problems: Problem[], file: string): void {
  const open = [...listenerNames, ...controlListenerNames].filter(
    (name) => textOf(values, `listeners.${name}.accept`) !== "nothing",
  );
  const places = open.map((name) => {
    const port = numberOf(values, `listeners.${name}.port`);
    return { name, port, place: `${textOf(values, `listeners.${name}.address`)} ${port}` };
  });
  for (const [i, { name, port, place }] of places.entries()) {
    const other = places.slice(0, i).find((one) => port !== 0 && one.place === place);
    if (other === undefined) continue;
    const [own, others] = [`listeners.${name}.port`, `listeners.${other.name}.port`];
    const key = values.has(own) ? own : others;
    const at = values.get(key)?.at ?? { file, line: 1, column: 1 };
    const message = `${other.name} and ${name} both have the port ${port}`;
    problems.push({ ...at, key, message, hint: "choose another one for one of them" });
  }
}

function textOf(values: Reading["values"], key: string): string {
  return String(values.get(key)?.value ?? byKey.get(key)?.default);
}

function numberOf(values: Reading["values"], key: string): number {
  return Number(textOf(values, key));
}

function settingsOf({
  values,
}: Reading): Pick<Config, "settings" | "published" | "anchor" | "controlListeners"> {
  const tree: Record<string, unknown> = {};
  for (const { key, default: byItself } of options) {
    const levels = key.split(".");
    const last = levels.pop() ?? key;
    let group = tree;
    for (const level of levels) {
      group[level] ??= {};
      group = group[level] as Record<string, unknown>;
    }
    group[last] = values.get(key)?.value ?? byItself;
  }
  // INVARIANT: the rows of `options` are the leaves of these; a test compares them.
  const {
    certificates: published,
    anchor,
    ...written
  } = tree as unknown as BrokerSettings & {
    readonly anchor: string;
    readonly listeners: ControlListeners;
    readonly certificates: PublishedAddresses;
  };
  const { est, api, ...listeners } = written.listeners;
  const trustDomain = values.has("trustDomain")
    ? written.trustDomain
    : trustDomainOf(written.environment, written.org);
  const settings = { ...written, listeners, trustDomain };
  return { settings, published, anchor, controlListeners: { est, api } };
}

/** The trust domain a deployment has by itself. */
export function trustDomainOf(environment: string, org: string): string {
  return `${environment}.${org}`.toLowerCase();
}

function findingsOf({ values }: Reading): Finding[] {
  return options.flatMap(({ key, secure, weakness }) => {
    const written = values.get(key);
    if (!written || !secure || secure(written.value)) return [];
    return [{ key, value: written.value, message: weakness ?? "weaker than the default" }];
  });
}
