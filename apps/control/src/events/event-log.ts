import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { eventTypes, type SecurityEvent } from "@wardmq/events";
import { systemCode } from "../failure.ts";
import { eventLine, LineBudget } from "./event-line.ts";

export interface EventLogOptions {
  readonly path: string;
  /** A line for a person who watches. */
  readonly report: (line: string) => void;
  readonly maximumBytes?: number;
  /** How many full files are kept beside the one being written. */
  readonly kept?: number;
}

/** Security events in a file, one JSON object a line, and the grave ones on a person's screen. */
export class EventLog {
  readonly #path: string;
  readonly #maximumBytes: number;
  readonly #kept: number;
  readonly #report: (line: string) => void;
  readonly #budget: LineBudget;
  #file: number;
  #bytes: number;

  constructor({ path, report, maximumBytes = 64 * 1024 * 1024, kept = 4 }: EventLogOptions) {
    this.#path = path;
    this.#maximumBytes = maximumBytes;
    this.#kept = kept;
    this.#report = report;
    this.#budget = new LineBudget(20, report);
    this.#file = openSync(path, "a", 0o600);
    this.#bytes = fstatSync(this.#file).size;
  }

  /** Records events in the order given. A full disk loses them but never stops control: revoking has to go on. */
  append(events: readonly SecurityEvent[]): void {
    for (const event of events) {
      const { severity } = eventTypes[event.type];
      if (severity === "warning" || severity === "alert") this.#budget.line(eventLine(event));
    }
    const text = Buffer.from(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    try {
      if (this.#bytes > 0 && this.#bytes + text.length > this.#maximumBytes) this.#rotate();
      for (let at = 0; at < text.length; ) at += writeSync(this.#file, text, at);
      this.#bytes += text.length;
    } catch (error) {
      this.#report(
        `cannot write ${this.#path}: ${systemCode(error) ?? "failed"}; ${events.length} events are lost`,
      );
    }
  }

  /** The last `count` events, oldest first. */
  last(count: number): readonly unknown[] {
    const lines: string[] = [];
    for (let number = 0; number <= this.#kept && lines.length < count; number += 1) {
      lines.unshift(...lastLines(this.#name(number), count - lines.length));
    }
    return lines.flatMap(parsed);
  }

  close(): void {
    this.#budget.flush();
    closeSync(this.#file);
  }

  #name(number: number): string {
    return number === 0 ? this.#path : `${this.#path}.${number}`;
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
    this.#file = openSync(this.#path, "a", 0o600);
    this.#bytes = 0;
  }
}

/** A line that a power cut left unfinished is no event. */
function parsed(line: string): readonly unknown[] {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

const pieceBytes = 64 * 1024;

/** The last lines of a file that may be large, read from its end. */
function lastLines(path: string, count: number): readonly string[] {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return [];
  }
  try {
    const pieces: Buffer[] = [];
    let newlines = 0;
    for (let end = fstatSync(file).size; end > 0 && newlines <= count; ) {
      const piece = Buffer.alloc(Math.min(pieceBytes, end));
      end -= piece.length;
      readSync(file, piece, 0, piece.length, end);
      newlines += piece.filter((octet) => octet === 0x0a).length;
      pieces.unshift(piece);
    }
    return Buffer.concat(pieces).toString("utf8").split("\n").filter(Boolean).slice(-count);
  } finally {
    closeSync(file);
  }
}
