import { printable } from "@wardmq/events";
import { isMap, isScalar, isSeq, type ParsedNode, parseDocument, type YAMLMap } from "yaml";
import type { Binding, Grant, Place, Policy } from "./policy.ts";
import { type PolicyFile, parsePolicyFiles } from "./read-policy.ts";

type Plain<Record extends Place> = Omit<Record, keyof Place | "where"> & {
  readonly where?: Readonly<Partial<{ [Name in "org" | "site" | "ward" | "model"]: string }>>;
};

/** What tools change in the files of a policy. `role`, `to` and `where` together say which binding or grant is meant. */
export type PolicyEdit =
  | { readonly do: "bind"; readonly binding: Plain<Binding> }
  | { readonly do: "unbind"; readonly binding: Plain<Binding> }
  | { readonly do: "grant"; readonly grant: Plain<Grant> }
  | { readonly do: "end-grant"; readonly binding: Plain<Binding>; readonly until: string };

/** Lines that differ between the files before and after. */
export interface EditedLines {
  readonly file: string;
  /** Of the first of them, counted from 1. */
  readonly line: number;
  readonly removed: readonly string[];
  readonly added: readonly string[];
}

export interface EditedPolicy {
  readonly files: readonly PolicyFile[];
  readonly lines: EditedLines;
}

/** The edit cannot be made; the sentence says why. */
export class PolicyEditError extends Error {
  readonly code = "ERR_POLICY_EDIT";
}

/**
 * Makes one change in the text of a policy's files. Everything else stays as it is, byte for byte: comments, order, quotes
 * and spaces. Throws a PolicyEditError where it cannot be made, and a PolicyError for files that are no policy.
 */
export function editPolicy(files: readonly PolicyFile[], edit: PolicyEdit): EditedPolicy {
  const before = parsePolicyFiles(files);
  const wanted = changed(before, edit);
  const list = edit.do === "grant" || edit.do === "end-grant" ? "grants" : "bindings";
  const edited = editorOf(files, before, edit, list);
  const next = files.map((file) => (file.name === edited.name ? edited : file));
  // The text was changed by places; that it says what was meant is seen by reading it again.
  if (textOf(parsePolicyFiles(next)[list]) !== textOf(wanted)) {
    throw new PolicyEditError(
      `${printable(edited.name)} cannot be edited safely: change it by hand`,
    );
  }
  const former = files.find(({ name }) => name === edited.name)?.text ?? "";
  return { files: next, lines: linesBetween(edited.name, former, edited.text) };
}

/** The list as it has to be afterwards. */
function changed(policy: Policy, edit: PolicyEdit): readonly object[] {
  switch (edit.do) {
    case "bind":
      refuseTwice(policy.bindings, edit.binding, "is bound already");
      return [...policy.bindings, edit.binding];
    case "grant":
      return [...policy.grants, edit.grant];
    case "unbind": {
      const at = indexOf(policy.bindings, edit.binding, "no such binding");
      return policy.bindings.toSpliced(at, 1);
    }
    case "end-grant": {
      const at = runningGrant(policy, edit);
      return policy.grants.map((one, i) => (i === at ? { ...one, until: edit.until } : one));
    }
  }
}

function refuseTwice(list: readonly Binding[], one: Plain<Binding>, what: string): void {
  if (list.some((other) => isSame(other, one))) {
    throw new PolicyEditError(`${one.role} ${what} to ${printable(one.to)}`);
  }
}

function indexOf(list: readonly Binding[], one: Plain<Binding>, what: string): number {
  const at = list.findIndex((other) => isSame(other, one));
  if (at === -1) {
    throw new PolicyEditError(`${what}: ${printable(one.role)} to ${printable(one.to)}`);
  }
  return at;
}

/** The grant that is meant: one that would end later than it is to end now. */
function runningGrant({ grants }: Policy, edit: PolicyEdit & { do: "end-grant" }): number {
  const ends = ({ until }: Grant) =>
    until === undefined || Date.parse(until) > Date.parse(edit.until);
  const open = grants.map((one) => (ends(one) ? one : { ...one, role: "" }));
  return indexOf(open, edit.binding, "no such grant that has not ended");
}

const isSame = (one: Binding, other: Plain<Binding>) =>
  one.role === other.role &&
  one.to === other.to &&
  textOf(one.where ?? {}) === textOf(other.where ?? {});

/** Without places, and with keys in one order. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (key, inner) => {
    if (key === "line" || key === "column" || key === "file") return undefined;
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** The one file that changes, changed. */
function editorOf(
  files: readonly PolicyFile[],
  policy: Policy,
  edit: PolicyEdit,
  list: "bindings" | "grants",
): PolicyFile {
  if (edit.do === "bind" || edit.do === "grant") {
    const file = files.findLast(({ text }) => listOf(text, list) !== undefined) ?? files[0];
    if (file === undefined) throw new PolicyEditError("there is no file to write to");
    const item = flow(edit.do === "bind" ? edit.binding : edit.grant);
    return { ...file, text: withItem(file.text, list, item) };
  }
  const whole = edit.do === "unbind" ? policy.bindings : policy.grants;
  const at = edit.do === "unbind" ? indexOf(whole, edit.binding, "") : runningGrant(policy, edit);
  const name = whole[at]?.file ?? files[0]?.name;
  const file = files.find((one) => one.name === name);
  if (file === undefined) throw new PolicyEditError("the file is missing");
  const index = whole.slice(0, at).filter((one) => (one.file ?? name) === name).length;
  const text =
    edit.do === "unbind"
      ? withoutItem(file.text, list, index)
      : withUntil(file.text, list, index, edit.until);
  return { ...file, text };
}

const quotedKeys: ReadonlySet<string> = new Set(["to", "from", "until", "reason", "approvedBy"]);

/** `{ role: nurse, to: "service:x", where: { ward: icu-3 } }`, with keys in the order of the reference. */
function flow(record: object): string {
  const order = ["role", "to", "where", "from", "until", "reason", "approvedBy"];
  const entries = Object.entries(record)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  const texts = entries.map(([key, value]) => {
    if (typeof value === "object") return `${key}: ${flow(value as object)}`;
    // What the closed alphabet allows may still look like a number or a truth to YAML.
    const isPlain = !quotedKeys.has(key) && /^[A-Za-z_][\w-]*$/.test(value) && !looksTyped(value);
    return `${key}: ${isPlain ? value : JSON.stringify(value)}`;
  });
  return `{ ${texts.join(", ")} }`;
}

const looksTyped = (text: string) => /^(true|false|null|yes|no|on|off|y|n)$/i.test(text);

/** The list of a key with where its key stands; undefined where the file has none. */
function listOf(text: string, key: string) {
  const { contents } = parseDocument(text, { prettyErrors: false });
  if (!isMap(contents)) return undefined;
  const pair = contents.items.find((one) => isScalar(one.key) && one.key.value === key);
  return pair as { key: ParsedNode; value: ParsedNode | null } | undefined;
}

function withItem(text: string, key: string, item: string): string {
  const list = listOf(text, key);
  if (list === undefined) {
    const end = text === "" || text.endsWith("\n") ? "" : "\n";
    return `${text}${end}${key}:\n  - ${item}\n`;
  }
  const { value } = list;
  if (!isSeq(value)) return insert(text, list.key.range[1] + 1, `\n  - ${item}`);
  const last = value.items.at(-1) as ParsedNode | undefined;
  if (value.flow) {
    return last === undefined
      ? insert(text, value.range[0] + 1, item)
      : insert(text, last.range[1], `, ${item}`);
  }
  const first = value.items[0] as ParsedNode;
  const indent = " ".repeat(dashOf(text, first) - lineStart(text, dashOf(text, first)));
  const at = lineEnd(text, (last ?? first).range[1]);
  const newline = text[at - 1] === "\n" ? "" : "\n";
  return insert(text, at, `${newline}${indent}- ${item}\n`);
}

function withoutItem(text: string, key: string, index: number): string {
  const list = listOf(text, key)?.value;
  if (!isSeq(list)) return text;
  const items = list.items as ParsedNode[];
  const item = items[index];
  if (item === undefined) return text;
  if (items.length === 1)
    return replace(text, list.range[0], list.range[1], list.flow ? "[]" : "", key);
  if (!list.flow) {
    return replace(text, lineStart(text, dashOf(text, item)), lineEnd(text, item.range[1]), "");
  }
  const [before, after] = [items[index - 1], items[index + 1]];
  if (after !== undefined) return replace(text, item.range[0], after.range[0], "");
  return replace(text, before?.range[1] ?? item.range[0], item.range[1], "");
}

function withUntil(text: string, key: string, index: number, until: string): string {
  const list = listOf(text, key)?.value;
  const grant = isSeq(list) ? (list.items[index] as ParsedNode | undefined) : undefined;
  if (!isMap(grant)) return text;
  const pairs = (grant as YAMLMap<ParsedNode, ParsedNode | null>).items;
  const value = JSON.stringify(until);
  const known = pairs.find(({ key: name }) => isScalar(name) && name.value === "until")?.value;
  if (known) return replace(text, known.range[0], known.range[1], value);
  const last = pairs.at(-1);
  const end = last?.value?.range[1] ?? last?.key.range[1];
  if (last === undefined || end === undefined) return text;
  if (grant.flow) return insert(text, end, `, until: ${value}`);
  const at = lineEnd(text, end);
  const indent = " ".repeat(last.key.range[0] - lineStart(text, last.key.range[0]));
  const newline = text[at - 1] === "\n" ? "" : "\n";
  return insert(text, at, `${newline}${indent}until: ${value}\n`);
}

/** Where the dash of an item of a block list stands. */
function dashOf(text: string, item: ParsedNode): number {
  return text.lastIndexOf("-", item.range[0] - 1);
}

const lineStart = (text: string, at: number) => text.lastIndexOf("\n", at - 1) + 1;

/** Behind the line on which something ends. */
function lineEnd(text: string, at: number): number {
  if (text[at - 1] === "\n") return at;
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end + 1;
}

const insert = (text: string, at: number, what: string) =>
  text.slice(0, at) + what + text.slice(at);

function replace(text: string, from: number, to: number, what: string, emptied?: string): string {
  if (emptied === undefined || what !== "") return text.slice(0, from) + what + text.slice(to);
  // The last item of a block list: nothing is left but its key, which then has to say so.
  const key = text.lastIndexOf(`${emptied}:`, from) + emptied.length + 1;
  return `${text.slice(0, key)} []\n${text.slice(lineEnd(text, to))}`;
}

function linesBetween(file: string, former: string, next: string): EditedLines {
  const [before, after] = [former.split("\n"), next.split("\n")];
  let start = 0;
  while (start < before.length && before[start] === after[start]) start += 1;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return {
    file,
    line: start + 1,
    removed: before.slice(start, before.length - end),
    added: after.slice(start, after.length - end),
  };
}
