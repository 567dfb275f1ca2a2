import { printable } from "@wardmq/events";
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type YAMLError,
} from "yaml";
import { suggestion } from "./closest.ts";
import { policyLimits } from "./policy.ts";
import { PolicyError, type Problem } from "./policy-error.ts";
import { refusedFeatures } from "./yaml-features.ts";

export type Node = ParsedNode | null;

/** A key of a map with its value; where no value is written, `at` is the key's place. */
export interface Entry {
  readonly key: string;
  readonly keyAt: number;
  readonly value: Node;
  readonly at: number;
}

/** A hint that takes work to find is only looked for when its problem is among those that are told. */
type Hint = string | (() => string);

interface Found extends Pick<Problem, "path" | "message"> {
  readonly offset: number;
  readonly hint: Hint;
}

const mostProblems = 100;
const quoteFilters = 'put filters in double quotes: "{org}/{site}/{ward}/device/{id}/alarm"';
const quoteText = "put the text in double quotes";

/** Reads YAML node by node; what is not as expected becomes a Problem, and `finish` throws them all. */
export class YamlReader {
  readonly file: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #found: Found[] = [];

  constructor(text: string, file: string) {
    this.#text = text.startsWith("\uFEFF") ? text.slice(1) : text;
    this.file = file;
    this.#lines.addNewLine(0);
  }

  /** The content of the one document; throws when the text is no YAML that a policy may use. */
  open(): Node {
    const bytes = Buffer.byteLength(this.#text);
    if (bytes > policyLimits.fileBytes) {
      const message = `expected at most ${policyLimits.fileBytes} bytes, found ${bytes}`;
      this.fail(0, "", message, "use braces and * bindings instead of a role for each device");
      this.finish();
    }
    for (let at = this.#text.indexOf("\n"); at !== -1; at = this.#text.indexOf("\n", at + 1)) {
      this.#lines.addNewLine(at + 1);
    }
    for (const { offset, message, hint } of refusedFeatures(this.#text)) {
      this.fail(offset, "", message, hint);
    }
    this.finish();
    const document = parseDocument(this.#text, { prettyErrors: false, uniqueKeys: false });
    // One fault of syntax makes several errors; only the first says what is wrong.
    const [error] = [...document.errors, ...document.warnings];
    if (error) this.#failSyntax(error);
    this.finish();
    return document.contents;
  }

  #failSyntax({ code, message, pos: [offset] }: YAMLError): void {
    const lineStart = this.#text.lastIndexOf("\n", offset - 1) + 1;
    const line = this.#text.slice(lineStart).split("\n", 1).join();
    const known: Partial<Record<typeof code, readonly [string, string]>> = {
      MULTIPLE_DOCS: ["expected one document, found a second", "remove it and the --- before it"],
      TAB_AS_INDENT: ["expected spaces, found a tab", "indent with spaces"],
    };
    const said = printable(message.split("\n", 1).join());
    const isUnquoted = /(^|[\s[,])(\{\w+\}|[+]\/)/.test(line);
    const [expected, hint] = known[code] ?? [
      `expected YAML, but it says: ${said.charAt(0).toLowerCase()}${said.slice(1)}`,
      isUnquoted ? quoteFilters : "correct the quotes, brackets and indentation up to here",
    ];
    this.fail(offset, "", expected, hint);
  }

  place(offset: number): { readonly line: number; readonly column: number } {
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length));
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }

  fail(offset: number, path: string, message: string, hint: Hint): void {
    this.#found.push({ offset, path, message, hint });
  }

  finish(): void {
    const problems = this.problems();
    if (problems.length > 0) throw new PolicyError(this.file, problems);
  }

  /** What was found, in the order of the text. */
  problems(): readonly Problem[] {
    return this.#found
      .sort((a, b) => a.offset - b.offset)
      .slice(0, mostProblems)
      .map(({ offset, path, message, hint }) => {
        const told = typeof hint === "string" ? hint : hint();
        return { ...this.place(offset), file: this.file, path, message, hint: told };
      });
  }

  /** The entries of a map with keys that are texts and differ; undefined where there is no map. */
  entries(node: Node, at: number, path: string, what: string, hint: string): Entry[] | undefined {
    if (!isMap(node)) {
      this.fail(at, path, `expected ${what}, found ${kindOf(node)}`, hint);
      return undefined;
    }
    const entries = new Map<string, Entry>();
    for (const { key: keyNode, value } of node.items) {
      const keyAt = keyNode.range[0];
      if (!isScalar(keyNode) || typeof keyNode.value !== "string") {
        const hint = isScalar(keyNode) ? "put the key in double quotes" : quoteFilters;
        this.fail(keyAt, path, `expected a key that is a text, found ${kindOf(keyNode)}`, hint);
        continue;
      }
      const key = keyNode.value;
      const first = entries.get(key);
      if (first) {
        const message = `expected each key once, found "${printable(key, 64)}" again`;
        const hint = `merge it with line ${this.place(first.keyAt).line}`;
        this.fail(keyAt, pathOf(path, key), message, hint);
        continue;
      }
      entries.set(key, { key, keyAt, value, at: value?.range[0] ?? keyAt });
    }
    return [...entries.values()];
  }

  /** The entries of a map that has none but these keys. */
  fields(
    node: Node,
    at: number,
    path: string,
    keys: readonly string[],
    example: string,
  ): Partial<Record<string, Entry>> | undefined {
    const isFew = keys.length <= 4;
    const what = isFew ? `a map of ${keys.join(", ")}` : "a map";
    const entries = this.entries(node, at, path, what, `write ${example}`);
    if (!entries) return undefined;
    const fields: Partial<Record<string, Entry>> = {};
    for (const entry of entries) {
      const known = keys.find((key) => key === entry.key);
      if (known) fields[known] = entry;
      else {
        const expected = isFew ? keys.join(" or ") : "a known key";
        const message = `expected ${expected}, found the unknown key "${printable(entry.key, 64)}"`;
        const near = suggestion(entry.key, keys);
        const hint = near.startsWith("did") ? near : `remove it: ${near}`;
        this.fail(entry.keyAt, pathOf(path, entry.key), message, hint);
      }
    }
    return fields;
  }

  /** The items of a list with their places. */
  items(entry: Entry, path: string, what: string, hint: string): { node: Node; at: number }[] {
    if (isSeq(entry.value)) {
      return entry.value.items.map((node) => ({ node, at: node?.range?.[0] ?? entry.at }));
    }
    this.fail(entry.at, path, `expected ${what}, found ${kindOf(entry.value)}`, hint);
    return [];
  }

  isMap(node: Node): boolean {
    return isMap(node);
  }

  isText(node: Node): boolean {
    return isScalar(node) && typeof node.value === "string";
  }

  isEmptyList(node: Node): boolean {
    return isSeq(node) && node.items.length === 0;
  }

  /** `{org}` without quotes: a map of one key and no value. */
  isBraces(node: Node): boolean {
    return isMap(node) && node.items.length === 1 && node.items[0]?.value === null;
  }

  /** A whole number within bounds. */
  number(
    node: Node,
    at: number,
    path: string,
    { what, minimum, maximum }: { what: string; minimum: number; maximum: number },
  ): number | undefined {
    const value = isScalar(node) ? node.value : undefined;
    if (Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum) {
      return Number(value);
    }
    const hint = `write a whole number from ${minimum} to ${maximum}`;
    this.fail(at, path, `expected ${what}, found ${kindOf(node)}`, hint);
    return undefined;
  }

  truth(node: Node, at: number, path: string, what: string): boolean | undefined {
    if (isScalar(node) && typeof node.value === "boolean") return node.value;
    this.fail(at, path, `expected ${what}, found ${kindOf(node)}`, "write true or false");
    return undefined;
  }

  /** A text; `offsetAt` tells where a character of it stands in the file, as near as can be said. */
  text(
    node: Node,
    at: number,
    path: string,
    what: string,
  ): { readonly value: string; offsetAt(index: number): number } | undefined {
    if (!isScalar(node) || typeof node.value !== "string") {
      const hint = isMap(node)
        ? quoteFilters
        : isScalar(node) && node.value === null
          ? 'write it in double quotes; outside of quotes, # begins a comment: "#"'
          : quoteText;
      this.fail(at, path, `expected ${what}, found ${kindOf(node)}`, hint);
      return undefined;
    }
    const { value } = node;
    const [start, end] = node.range;
    const source = this.#text.slice(start, end);
    const quotes = source === value ? 0 : 1;
    const isVerbatim = quotes === 0 || source.slice(1, -1) === value;
    return { value, offsetAt: (index) => (isVerbatim ? start + quotes + index : start) };
  }
}

/** The path of a key, safe to print. */
export function pathOf(path: string, key: string): string {
  return `${path && `${path}.`}${printable(key, 64)}`;
}

function kindOf(node: Node): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "a list";
  if (!isScalar(node) || node.value === null) return "nothing";
  if (typeof node.value === "string") return `the text "${printable(node.value, 64)}"`;
  return `the ${typeof node.value} ${printable(String(node.source ?? node.value), 64)}`;
}
