import type { View } from "./board.ts";
import { headLines, tableLines } from "./table.ts";
import { cut, type Line, plainText, span } from "./text.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A line and how many rows of the terminal it takes: only lines to be copied are longer than one. */
export interface Placed {
  readonly line: Line;
  readonly rows: number;
}

/** The whole screen for a state and a size; `page` is what the person asked for with the key `c`. */
export function frame(
  view: View,
  connect: readonly string[],
  size: Size,
  page: "ward" | "connect",
): readonly Placed[] {
  const { columns, rows } = size;
  const head = headLines(view, columns).map(placed);
  const help = connect.map((text) => wrapped(text, columns));
  const room = rows - head.length - 3; // an empty line above, one below, and the keys
  if (page === "connect") {
    const foot = [empty, keys("c back to the ward   q quit", columns)];
    return fitting([...head, empty, ...fitting(help, room), ...foot], rows);
  }
  const tableRows = view.rows.length + 1;
  const helpFits = tableRows + 1 + heightOf(help) <= room;
  const table = tableLines(view, columns, Math.max(1, Math.min(tableRows, room))).map(placed);
  const below = helpFits
    ? [...help, empty, keys("q quit", columns)]
    : [keys("c connect your own client   q quit", columns)];
  return fitting([...head, empty, ...table, empty, ...below], rows);
}

const heightOf = (lines: readonly Placed[]): number =>
  lines.reduce((sum, { rows }) => sum + rows, 0);

const placed = (line: Line): Placed => ({ line, rows: 1 });

const empty: Placed = placed([]);

const keys = (text: string, columns: number): Placed => placed(cut([span(text, "dim")], columns));

/** A line to be copied is never cut: the terminal wraps it, and knows that it is one line. */
const wrapped = (text: string, columns: number): Placed => ({
  line: [span(text)],
  rows: Math.max(1, Math.ceil(text.length / columns)),
});

function fitting(lines: readonly Placed[], room: number): readonly Placed[] {
  let left = room;
  return lines.filter((line) => {
    left -= line.rows;
    return left >= 0;
  });
}

/** The frame as text, for tests and for people without a terminal. */
export const frameText = (lines: readonly Placed[]): string =>
  lines.map(({ line }) => plainText(line).trimEnd()).join("\n");
