import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { eventTypes, type SecurityEvent } from "@wardmq/events";
import { destroyFile, putInPlace } from "@wardmq/keys";
import { SealError, type SealedPlace } from "@wardmq/sealing";
import { systemCode } from "../failure.ts";
import { eventLine, LineBudget } from "./event-line.ts";

export interface EventLogOptions {
  readonly path: string;
  /** Seals the entries; each at its number. */
  readonly place: SealedPlace;
  /** A line for a person who watches: that the log itself has trouble. */
  readonly report: (line: string) => void;
  /** A line for a person who watches, for each grave event; left out where an answer says the same. */
  readonly tell?: (line: string) => void;
  readonly maximumBytes?: number;
  /** How many full files are kept beside the one being written. */
  readonly kept?: number;
}

/**
 * Security events in a file, and the grave ones on a person's screen. A line of the file is an entry: its number, and
 * what was appended at once as JSON lines, sealed, base64. Numbers count up by one, so what was taken out is missed.
 */
export class EventLog {
  readonly #path: string;
  readonly #place: SealedPlace;
  readonly #maximumBytes: number;
  readonly #kept: number;
  readonly #report: (line: string) => void;
  readonly #budget: LineBudget;
  #file: number;
  #bytes: number;
  #next: number;
  #isResealing = false;

  constructor({
    path,
    place,
    report,
    tell = () => {},
    maximumBytes = 64 * 1024 * 1024,
    kept = 4,
  }: EventLogOptions) {
    this.#path = path;
    this.#place = place;
    this.#maximumBytes = maximumBytes;
    this.#kept = kept;
    this.#report = report;
    this.#budget = new LineBudget(20, tell);
    this.#next = this.#lastNumber() + 1;
    this.#file = openSync(path, "a+", 0o600);
    this.#bytes = fstatSync(this.#file).size;
    this.#endUnfinishedLine();
  }

  /** Records events in the order given. A full disk loses them but never stops control: revoking has to go on. */
  append(events: readonly SecurityEvent[]): void {
    for (const event of events) {
      const { severity } = eventTypes[event.type];
      if (severity === "warning" || severity === "alert") this.#budget.line(eventLine(event));
    }
    if (events.length === 0) return;
    try {
      this.#addEntry(Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join("")));
    } catch (error) {
      this.#takeBack();
      this.#report(
        `cannot write ${this.#path}: ${systemCode(error) ?? "failed"}; ${events.length} events are lost`,
      );
    }
  }

  /** Seals the events of a file of JSON lines behind those that are here, then destroys it: none is lost, or it throws. */
  takeOver(path: string): void {
    {
      using reader = new LineReader(path);
      for (let lines = reader.next(); lines !== undefined; lines = reader.next()) {
        const whole = lines.filter(isJson); // a power cut may have left a line unfinished
        const text = whole.map((line) => `${line}\n`).join("");
        if (whole.length > 0) this.#addEntry(Buffer.from(text, "latin1")); // the octets as they were
      }
    }
    fsyncSync(this.#file);
    destroyFile(path);
  }

  /** The last `count` events, oldest first. That entries are damaged or missing in between is reported. */
  last(count: number): readonly unknown[] {
    const events: unknown[] = [];
    let following: number | undefined;
    for (let file = 0; file <= this.#kept && events.length < count; file += 1) {
      for (const line of linesFromEnd(this.#name(file))) {
        const entry = openLine(this.#place, line);
        if (entry === undefined) continue;
        if (following !== undefined && entry.number !== following - 1)
          this.#reportGap(entry.number, following);
        following = entry.number;
        events.unshift(...entry.events);
        if (events.length >= count) break;
      }
    }
    return events.slice(-count);
  }

  /** Seals every entry under the current key; what is appended meanwhile is kept. */
  async reseal(): Promise<void> {
    this.#isResealing = true; // files must not change their names meanwhile
    try {
      for (let file = this.#kept; file >= 0; file -= 1) await this.#resealFile(file);
    } finally {
      this.#isResealing = false;
    }
  }

  close(): void {
    this.#budget.flush();
    closeSync(this.#file);
  }

  #name(number: number): string {
    return number === 0 ? this.#path : `${this.#path}.${number}`;
  }

  /** An entry of JSON lines; throws when the disk does not take it. */
  #addEntry(text: Uint8Array): void {
    const line = Buffer.from(sealedLine(this.#place, this.#next, text));
    const isFull = this.#bytes > 0 && this.#bytes + line.length > this.#maximumBytes;
    if (isFull && !this.#isResealing) this.#rotate();
    this.#write(line);
    this.#next += 1;
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#bytes += bytes.length;
  }

  /** What a full disk let in of a line must not run into the next one. */
  #takeBack(): void {
    try {
      ftruncateSync(this.#file, this.#bytes);
    } catch {
      // The next start ends the line.
    }
  }

  #lastNumber(): number {
    for (let file = 0; file <= this.#kept; file += 1) {
      for (const line of linesFromEnd(this.#name(file))) {
        const parsed = parseLine(line);
        if (parsed !== undefined) return parsed.number;
      }
    }
    return 0;
  }

  /** What a power cut left of a line must not run into the next one. */
  #endUnfinishedLine(): void {
    if (this.#bytes === 0) return;
    const last = Buffer.alloc(1);
    readSync(this.#file, last, 0, 1, this.#bytes - 1);
    if (last[0] !== newline) this.#write(Buffer.from("\n"));
  }

  #reportGap(number: number, following: number): void {
    const [from, to] = [number + 1, following - 1];
    const which = from === to ? `entry ${from} is` : `entries ${from} to ${to} are`;
    this.#report(`${this.#path}: ${which} missing or damaged`);
  }

  async #resealFile(number: number): Promise<void> {
    const path = this.#name(number);
    if (!existsSync(path)) return;
    const next = `${path}.next`;
    rmSync(next, { force: true });
    const file = openSync(next, "wx", 0o600);
    try {
      using reader = new LineReader(path);
      for (let lines = reader.next(); lines !== undefined; lines = reader.next()) {
        writeSync(file, lines.map((line) => `${this.#resealed(line)}\n`).join(""));
        if (!reader.isAtEnd) await setImmediate();
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // INVARIANT: since the end was read nobody else had a turn, so nothing was appended that is not in `next`.
    putInPlace(next, path);
    if (number > 0) return;
    closeSync(this.#file);
    this.#file = openSync(path, "a+", 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  /** An entry under the current key; what can not be opened stays as it is, to be missed when it is read. */
  #resealed(line: string): string {
    const entry = parseLine(line);
    if (entry === undefined) return line;
    const row = String(entry.number);
    try {
      return sealedLine(this.#place, entry.number, this.#place.open(row, entry.sealed)).trimEnd();
    } catch (error) {
      if (error instanceof SealError) return line;
      throw error;
    }
  }

  #rotate(): void {
    rmSync(this.#name(this.#kept), { force: true });
    for (let number = this.#kept - 1; number >= 0; number -= 1) {
      try {
        renameSync(this.#name(number), this.#name(number + 1));
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw error;
      }
    }
    closeSync(this.#file);
    this.#file = openSync(this.#path, "a+", 0o600);
    this.#bytes = 0;
  }
}

const newline = 0x0a;
const pieceBytes = 64 * 1024;

interface SealedEntry {
  readonly number: number;
  readonly sealed: Buffer;
}

function sealedLine(place: SealedPlace, number: number, text: Uint8Array): string {
  return `${number} ${place.seal(String(number), text).toString("base64")}\n`;
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** A line that a power cut left unfinished is no entry. */
function parseLine(line: string): SealedEntry | undefined {
  const [, number, base64 = ""] = /^(\d{1,15}) ([A-Za-z0-9+/]+={0,2})$/.exec(line) ?? [];
  if (number === undefined) return undefined;
  return { number: Number(number), sealed: Buffer.from(base64, "base64") };
}

function openLine(
  place: SealedPlace,
  line: string,
): { readonly number: number; readonly events: readonly unknown[] } | undefined {
  const entry = parseLine(line);
  if (entry === undefined) return undefined;
  try {
    const text = place.open(String(entry.number), entry.sealed).toString("utf8");
    const events = text.split("\n").filter(Boolean);
    return { number: entry.number, events: events.map((event) => JSON.parse(event) as unknown) };
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}

/** The lines of a file that may be large, the last one first. */
function* linesFromEnd(path: string): Generator<string> {
  if (!existsSync(path)) return;
  const file = openSync(path, "r");
  try {
    let rest = Buffer.alloc(0);
    for (let end = fstatSync(file).size; end > 0; ) {
      const piece = Buffer.alloc(Math.min(pieceBytes, end));
      end -= piece.length;
      readSync(file, piece, 0, piece.length, end);
      const lines = Buffer.concat([piece, rest]).toString("latin1").split("\n");
      rest = Buffer.from(lines.shift() ?? "", "latin1");
      yield* lines.filter(Boolean).reverse();
    }
    if (rest.length > 0) yield rest.toString("latin1");
  } finally {
    closeSync(file);
  }
}

/** The whole lines of a file that may be large and grow, piece by piece. */
class LineReader {
  readonly #file: number;
  readonly #piece = Buffer.alloc(pieceBytes);
  #at = 0;
  #rest = "";

  constructor(path: string) {
    this.#file = openSync(path, "r");
  }

  /** The lines of the next piece; undefined at the end of the file as it is now. */
  next(): readonly string[] | undefined {
    const read = readSync(this.#file, this.#piece, 0, pieceBytes, this.#at);
    if (read === 0) return undefined;
    this.#at += read;
    const lines = (this.#rest + this.#piece.toString("latin1", 0, read)).split("\n");
    this.#rest = lines.pop() ?? "";
    return lines;
  }

  get isAtEnd(): boolean {
    return this.#at >= fstatSync(this.#file).size;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
