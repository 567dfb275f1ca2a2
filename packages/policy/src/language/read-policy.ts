import { printable } from "@wardmq/events";
import { suggestion } from "./closest.ts";
import { boundLogin, countRules, giveByClaims, policyShape, tooManyRules } from "./language.ts";
import { namePattern, type Policy, policyLimits, type Role } from "./policy.ts";
import { PolicyError } from "./policy-error.ts";
import type {
  Fault,
  ListShape,
  NamedShape,
  RecordShape,
  Shape,
  ShortShape,
  TextShape,
} from "./shape.ts";
import { type Entry, type Node, pathOf, YamlReader } from "./yaml-reader.ts";

/** A file of a policy; `name` is what problems say. */
export interface PolicyFile {
  readonly name: string;
  readonly text: string;
}

/** A name that must be one of the policy, asked when all files are read. */
interface Reference {
  readonly kind: "role" | "group";
  readonly name: string;
  readonly path: string;
  readonly at: number;
}

type Read = Record<string, unknown>;

/** The policy of the text of a `policy.yaml`; throws a PolicyError that lists everything that is wrong with it. */
export function parsePolicy(text: string, file = "policy.yaml"): Policy {
  return parsePolicyFiles([{ name: file, text }]);
}

/** The policy of one file or of a folder's: lists are joined in the order of the files, and nothing is written twice. */
export function parsePolicyFiles(files: readonly PolicyFile[]): Policy {
  const parts = files.map((file) => readFile(file, files.length > 1));
  const whole = joinParts(parts);
  const [first] = parts;
  if (!whole.roles || !first) return refuseWithoutRoles(first);
  checkReferences(parts);
  refuseProblems(parts, first);
  const count = countRules(whole);
  if (count > policyLimits.rules) {
    first.reader.fail(first.rolesAt, "roles", tooManyRules(count), "use braces and wildcards");
  }
  refuseProblems(parts, first);
  return whole;
}

function refuseProblems(parts: readonly Part[], { reader }: Part): void {
  const problems = parts.flatMap((part) => part.reader.problems());
  if (problems.length > 0) throw new PolicyError(reader.file, problems);
}

const denyAll = 'a policy that allows nothing says so: "roles: {}"';

function refuseWithoutRoles(part: Part | undefined): never {
  const file = part?.reader.file ?? "policy";
  const found = part?.reader.problems() ?? [];
  const place = part?.reader.place(part.at) ?? { line: 1, column: 1 };
  const message = "expected roles, found none";
  const none = { ...place, path: "roles", message, hint: denyAll };
  throw new PolicyError(file, part?.isMap === false ? found : [none, ...found]);
}

interface Part {
  readonly reader: YamlReader;
  readonly at: number;
  readonly rolesAt: number;
  readonly isMap: boolean;
  readonly fields: Read;
  readonly references: readonly Reference[];
}

function readFile({ name, text }: PolicyFile, isOfFolder: boolean): Part {
  const reader = new YamlReader(text, name);
  const node = reader.open();
  if (node === null || ("value" in node && node.value === null)) {
    reader.fail(0, "", "expected roles and bindings, found nothing", denyAll);
    reader.finish();
  }
  const interpreter = new Interpreter(reader, isOfFolder ? name : undefined);
  const at = node?.range[0] ?? 0;
  const fields = interpreter.fields(policyShape, node, at, "", false);
  const { references, rolesAt = at } = interpreter;
  return { reader, at, rolesAt, isMap: fields !== undefined, fields: fields ?? {}, references };
}

/** What several files say together; what may be said once only is a problem of the later file. */
function joinParts(parts: readonly Part[]): Policy {
  const whole: Read = {};
  const names = new Map<string, string>();
  for (const { fields, reader, at } of parts) {
    for (const [key, value] of Object.entries(fields)) {
      if (!Array.isArray(value)) {
        if (whole[key] !== undefined) reader.fail(at, key, `expected ${key} once`, "merge the two");
        whole[key] ??= value;
        continue;
      }
      for (const { name } of value as { name?: string }[]) {
        if (name === undefined) continue;
        const path = `${key}.${name}`;
        const first = names.get(path);
        if (first !== undefined) {
          reader.fail(at, path, "expected each name once", `merge it with that of ${first}`);
        }
        names.set(path, reader.file);
      }
      whole[key] = [...((whole[key] as unknown[]) ?? []), ...value];
    }
  }
  for (const [key, { isFilled }] of Object.entries(policyShape.fields)) {
    if (isFilled) whole[key] ??= [];
  }
  return whole as unknown as Policy;
}

function checkReferences(parts: readonly Part[]): void {
  const namesOf = (key: string) =>
    parts.flatMap(({ fields }) =>
      ((fields[key] ?? []) as { name: string }[]).map(({ name }) => name),
    );
  const known = { role: namesOf("roles"), group: namesOf("groups") };
  const sets = { role: new Set(known.role), group: new Set(known.group) };
  const ofTokens = rolesOfTokens(parts);
  for (const { references, reader } of parts) {
    for (const { kind, name, path, at } of references) {
      if (ofTokens.has(name) && /^(bindings|grants)\b/.test(path)) {
        reader.fail(at, path, boundLogin(name), giveByClaims);
      }
      if (sets[kind].has(name)) continue;
      const message = `expected a ${kind} of this file, found "${printable(name, 64)}"`;
      const wellFormed = () => known[kind].filter((one) => namePattern.test(one));
      reader.fail(at, path, message, () => suggestion(name, wellFormed()));
    }
  }
}

function rolesOfTokens(parts: readonly Part[]): ReadonlySet<string> {
  const roles = parts.flatMap(({ fields }) => (fields["roles"] ?? []) as Role[]);
  return new Set(roles.flatMap(({ name, requires }) => (requires === undefined ? [] : name)));
}

/** Reads nodes as the table of shapes says; what does not fit becomes a problem of the reader. */
class Interpreter {
  readonly references: Reference[] = [];
  /** Where the roles begin. */
  rolesAt: number | undefined;
  readonly #reader: YamlReader;
  readonly #file: string | undefined;

  constructor(reader: YamlReader, file: string | undefined) {
    this.#reader = reader;
    this.#file = file;
  }

  /** What stands there, or undefined where it does not fit. */
  read(shape: Shape, node: Node, at: number, path: string): unknown {
    switch (shape.is) {
      case "text":
        return this.#text(shape, node, at, path);
      case "number":
        return this.#reader.number(node, at, path, shape);
      case "truth":
        return this.#reader.truth(node, at, path, shape.what);
      case "list":
        return this.#list(shape, node, at, path);
      case "record":
        return this.#record(shape, node, at, path);
      case "named":
        return this.#named(shape, node, at, path);
      case "short":
        return this.#short(shape, node, at, path);
    }
  }

  /** The fields of a record without its place; undefined where there is no map. A part of a whole lacks some. */
  fields(
    { fields, example }: RecordShape,
    node: Node,
    at: number,
    path: string,
    isWhole = true,
  ): Read | undefined {
    const keys = Object.keys(fields);
    const entries = this.#reader.fields(node, at, path, keys, example);
    if (!entries) return undefined;
    const read: Read = {};
    for (const [key, { shape, isRequired, isFilled }] of Object.entries(fields)) {
      const entry = entries[key];
      if (entry) {
        if (path === "" && key === "roles") this.rolesAt = entry.keyAt;
        const value = this.read(shape, entry.value, entry.at, path ? `${path}.${key}` : key);
        if (value !== undefined) read[key] = value;
      } else if (isWhole && isRequired) {
        const message = `expected the key ${key}, found none`;
        this.#reader.fail(at, path, message, `write ${example}`);
      } else if (isWhole && isFilled) read[key] = [];
    }
    return read;
  }

  #place(at: number) {
    const place = this.#reader.place(at);
    return this.#file === undefined ? place : { file: this.#file, ...place };
  }

  #record(shape: RecordShape, node: Node, at: number, path: string): Read | undefined {
    const fields = this.fields(shape, node, at, path);
    return fields && { ...fields, ...this.#place(at) };
  }

  #text(shape: TextShape, node: Node, at: number, path: string): string | undefined {
    const text = this.#reader.text(node, at, path, shape.what);
    if (!text) return undefined;
    const { value } = text;
    const fault = faultOf(shape, value);
    if (fault) this.#reader.fail(text.offsetAt(fault.at), path, fault.message, fault.hint);
    const group = /^group:(.*)$/.exec(value)?.[1];
    if (shape.refersTo) this.#refer(shape.refersTo, value, path, text.offsetAt(0));
    else if (group !== undefined && !fault && path.endsWith(".to")) {
      this.#refer("group", group, path, text.offsetAt(0));
    }
    return value;
  }

  #refer(kind: Reference["kind"], name: string, path: string, at: number): void {
    this.references.push({ kind, name, path, at });
  }

  #list(shape: ListShape, node: Node, at: number, path: string): unknown[] {
    const { what, hint, of, orOne } = shape;
    if (orOne && this.#reader.isText(node)) return [this.read(of, node, at, path) ?? []].flat();
    if (orOne && this.#reader.isEmptyList(node)) {
      this.#reader.fail(at, path, `expected ${what}, found an empty list`, hint);
    }
    return this.#reader
      .items({ key: "", keyAt: at, value: node, at }, path, what, hint)
      .flatMap((item, index) => this.read(of, item.node, item.at, `${path}[${index}]`) ?? []);
  }

  #named(shape: NamedShape, node: Node, at: number, path: string): unknown[] {
    const { what, hint } = shape;
    const entries = this.#reader.entries(node, at, path, what, hint) ?? [];
    return entries.map((entry) => this.#entry(entry, pathOf(path, entry.key), shape));
  }

  #entry(entry: Entry, path: string, { name, names, of, as }: NamedShape): Read {
    const message = `expected ${name}, found "${printable(entry.key, 64)}"`;
    if (names !== undefined && !names.includes(entry.key)) {
      this.#reader.fail(entry.keyAt, path, message, suggestion(entry.key, names));
    } else if (!namePattern.test(entry.key)) {
      this.#reader.fail(entry.keyAt, path, message, "use 1 to 64 letters, digits, _ or -");
    }
    const value = this.read(of, entry.value, entry.at, path);
    const fields = as === undefined ? (value as Read | undefined) : { [as]: value ?? [] };
    return { name: entry.key, ...fields, ...this.#place(entry.keyAt) };
  }

  #short(shape: ShortShape, node: Node, at: number, path: string): Read | undefined {
    const { field, text, record } = shape;
    if (record && this.#reader.isMap(node)) {
      // `{org}` outside of quotes is a map too, of one key without a value.
      if (!this.#reader.isBraces(node)) return this.#record(record, node, at, path);
    }
    const value = this.#text(text, node, at, path);
    return value === undefined ? undefined : { [field]: value, ...this.#place(at) };
  }
}

/** What is wrong with a text that should be of this shape. */
export function faultOf({ what, oneOf, check }: TextShape, text: string): Fault | undefined {
  if (oneOf === undefined) return check?.(text);
  if (oneOf.includes(text)) return undefined;
  const message = `expected ${what}, found "${printable(text, 64)}"`;
  return { at: 0, message, hint: suggestion(text, oneOf) };
}
