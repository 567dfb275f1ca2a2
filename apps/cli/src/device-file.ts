import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { type Commands, parseJson, RepeatedKeyError, type SubjectSummary } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import type { Asking } from "./asking.ts";
import { parseCsv, writeCsv } from "./csv.ts";
import { Failure, systemCode } from "./failure.ts";

/** The columns of a CSV file; a JSON file has the same names, and `tags` as a list. */
export const columns = [
  "id",
  "org",
  "site",
  "ward",
  "model",
  "maker",
  "serial",
  "owner",
  "tags",
] as const;

type Device = Readonly<Record<string, unknown>>;

/** A row of a file: the line it is in, or its place in a list, from 1. */
export interface Row {
  readonly number: number;
  readonly device: Device;
}

export interface Refused {
  readonly row: number;
  readonly field: string;
  readonly why: string;
}

export interface Imported {
  readonly added: number;
  readonly refused: readonly Refused[];
}

/** What control takes in one transaction. */
export const batch = 1_000;

/** Reads a file of devices by its ending: `.csv` or `.json`. */
export function readDevices(path: string): {
  readonly rows: readonly Row[];
  readonly refused: readonly Refused[];
} {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = systemCode(error) ?? "unreadable";
    throw new Failure(2, `cannot read ${printable(path, 500)}: ${why}`, "name a file of devices");
  }
  const form = extname(path).toLowerCase();
  if (form === ".csv") return withoutRepeated(rowsOfCsv(text));
  if (form === ".json") return withoutRepeated({ rows: rowsOfJson(text), refused: [] });
  throw new Failure(2, `${printable(path, 500)} is neither .csv nor .json`, "name it by its form");
}

export function rowsOfCsv(text: string): { rows: readonly Row[]; refused: readonly Refused[] } {
  const [header, ...records] = parseCsv(text);
  const names = header?.fields ?? [];
  const known: readonly string[] = columns;
  const wrong = names.find((name, i) => !known.includes(name) || names.indexOf(name) !== i);
  if (wrong !== undefined || !names.includes("site") || !names.includes("ward")) {
    const message =
      wrong === undefined
        ? "the first line does not name the columns site and ward"
        : `the first line names "${printable(wrong, 60)}", which is no column or stands there twice`;
    throw new Failure(2, message, `known are ${columns.join(", ")}`);
  }
  const rows: Row[] = [];
  const refused: Refused[] = [];
  for (const { line, fields } of records) {
    if (fields.length !== names.length) {
      const why = `has ${fields.length} fields, the first line ${names.length}`;
      refused.push({ row: line, field: "", why });
      continue;
    }
    const said = names.map((name, i) => [name, fields[i] ?? ""] as const);
    const device = Object.fromEntries(
      said
        .filter(([, value]) => value !== "")
        .map(([name, value]) => [name, name === "tags" ? value.split(" ") : value]),
    );
    rows.push({ number: line, device });
  }
  return { rows, refused };
}

export function rowsOfJson(text: string): readonly Row[] {
  let list: unknown;
  try {
    list = parseJson(text);
  } catch (error) {
    if (error instanceof RepeatedKeyError) {
      const why = `a device has the key "${printable(error.key, 60)}" twice`;
      throw new Failure(2, why, "leave one of them out");
    }
    throw new Failure(2, "the file is no JSON", "write a list of devices");
  }
  const isDevice = (one: unknown) => typeof one === "object" && one !== null && !Array.isArray(one);
  if (!Array.isArray(list) || !list.every(isDevice))
    throw new Failure(
      2,
      "the file is no list of devices",
      'write [{"site": ..., "ward": ...}, ...]',
    );
  return list.map((device, i) => ({ number: i + 1, device }));
}

/** An id that stands in a file twice: the first row has it. */
function withoutRepeated({ rows, refused }: { rows: readonly Row[]; refused: readonly Refused[] }) {
  const firstOf = new Map<unknown, number>();
  const repeated: Refused[] = [];
  const kept = rows.filter(({ number, device }) => {
    const { id } = device;
    const first = id === undefined ? undefined : firstOf.get(id);
    if (first === undefined) {
      if (id !== undefined) firstOf.set(id, number);
      return true;
    }
    repeated.push({ row: number, field: "id", why: `stands in row ${first} already` });
    return false;
  });
  return { rows: kept, refused: [...refused, ...repeated] };
}

/** Has control register the rows, a thousand at a time; `progress` hears how many are done. */
export async function importRows(
  asked: Asking,
  rows: readonly Row[],
  how: Pick<Commands["device.import"]["arguments"], "dryRun" | "allOrNothing">,
  progress: (done: number) => void,
): Promise<Imported> {
  const batches: (readonly Row[])[] = [];
  for (let at = 0; at < rows.length; at += batch) batches.push(rows.slice(at, at + batch));
  const wanted = batches.map((some) => ({ devices: some.map(({ device }) => device), ...how }));
  let added = 0;
  let done = 0;
  const refused: Refused[] = [];
  let next = 0;
  for await (const result of asked.askEach("device.import", wanted)) {
    const some = batches[next++] ?? [];
    added += result.added;
    done += some.length;
    refused.push(
      ...result.refused.map(({ index, field, why }) => ({
        row: some[index]?.number ?? 0,
        field,
        why,
      })),
    );
    progress(done);
  }
  return { added, refused };
}

/** All devices of the deployment in the order of their ids. */
export async function allSubjects(
  asked: Asking,
  query: Commands["list"]["arguments"],
): Promise<readonly SubjectSummary[]> {
  const found: SubjectSummary[] = [];
  const pages: Commands["list"]["arguments"][] = [query];
  function* following() {
    for (let page = pages.shift(); page !== undefined; page = pages.shift()) yield page;
  }
  for await (const { subjects, next } of asked.askEach("list", following())) {
    found.push(...subjects);
    if (next !== undefined) pages.push({ ...query, cursor: next });
  }
  return found;
}

/** Devices as `import` reads them. */
export function exported(devices: readonly SubjectSummary[], form: "csv" | "json"): string {
  const said = devices.map(({ attributes, details, tags }) => ({
    ...attributes,
    ...details,
    tags,
  }));
  if (form === "json") {
    const list = said.map((device) =>
      Object.fromEntries(
        columns.flatMap((name) => {
          const value = (device as Device)[name];
          return value === undefined || (name === "tags" && tagsOf(value).length === 0)
            ? []
            : [[name, value]];
        }),
      ),
    );
    return `${JSON.stringify(list, undefined, 1)}\n`;
  }
  const fieldOf = (device: Device, name: string) =>
    name === "tags" ? tagsOf(device[name]).join(" ") : String(device[name] ?? "");
  return writeCsv([columns, ...said.map((device) => columns.map((name) => fieldOf(device, name)))]);
}

const tagsOf = (value: unknown) => (Array.isArray(value) ? (value as readonly string[]) : []);
