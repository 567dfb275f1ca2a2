import { Failure } from "./failure.ts";

/** A record of a CSV file and the line it begins in, from 1. */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * The records of a text in the form of RFC 4180 section 2, whose lines end with CRLF or LF. What is not of that form is
 * refused, not guessed at: a quote in a field that does not begin with one, text behind a closing quote, no closing quote.
 */
export function parseCsv(text: string): readonly CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = text.startsWith("\ufeff") ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const fields: string[] = [];
    const first = line;
    for (let ended = false; !ended; ) {
      let field: string;
      if (text[at] === '"') {
        const end = closingQuote(text, at + 1);
        if (end < 0) throw refused(line, "a quote is not closed");
        const raw = text.slice(at + 1, end);
        line += raw.split("\n").length - 1;
        field = raw.replaceAll('""', '"');
        at = end + 1;
      } else {
        const end = /[,\r\n]/g;
        end.lastIndex = at;
        const stop = end.exec(text)?.index ?? text.length;
        field = text.slice(at, stop);
        if (field.includes('"'))
          throw refused(line, "a quote stands inside of a field without quotes");
        at = stop;
      }
      fields.push(field);
      if (text[at] === ",") at += 1;
      else ended = true;
    }
    records.push({ line: first, fields });
    if (text.startsWith("\r\n", at)) at += 2;
    else if (text[at] === "\n") at += 1;
    else if (at < text.length) throw refused(line, "text stands behind a closing quote");
    line += 1;
  }
  return records;
}

/** Records as RFC 4180 writes them; a field is quoted where it has to be. */
export function writeCsv(records: readonly (readonly string[])[]): string {
  const quoted = (field: string) =>
    /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
  return records.map((fields) => `${fields.map(quoted).join(",")}\r\n`).join("");
}

function closingQuote(text: string, from: number): number {
  for (let at = text.indexOf('"', from); at >= 0; at = text.indexOf('"', at + 2)) {
    if (text[at + 1] !== '"') return at;
  }
  return -1;
}

function refused(line: number, what: string): Failure {
  return new Failure(2, `line ${line}: ${what}`, "write CSV in the form of RFC 4180");
}
