import type { Placed, Size } from "./frame.ts";
import { painted, plainText } from "./text.ts";

const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
const clearAll = "\u001b[H\u001b[2J";
const clearLine = "\u001b[K";
const clearBelow = "\u001b[J";
const at = (row: number) => `\u001b[${row + 1};1H`;

/**
 * Draws frames in place. Only lines that changed are written: nothing flickers, little is sent over a slow line, and
 * what a person has marked for copying stays marked.
 */
export class Screen {
  readonly #write: (text: string) => void;
  #shown: readonly string[] = [];
  #size: Size | undefined;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  draw(lines: readonly Placed[], size: Size): void {
    const isNew = this.#size?.columns !== size.columns || this.#size.rows !== size.rows;
    // What was on the terminal before moves into its history instead of being overwritten.
    const start = this.#size === undefined ? hideCursor + "\n".repeat(size.rows) : "";
    const before = isNew ? [] : this.#shown;
    const rows = lines.flatMap(({ line, rows: height }) => {
      return [painted(line), ...Array<string>(height - 1).fill("")];
    });
    let out = start + (isNew ? clearAll : "");
    let row = 0;
    for (const { line, rows: height } of lines) {
      const text = painted(line);
      const isSame = Array.from({ length: height }, (_, i) => before[row + i] === rows[row + i]);
      if (isSame.includes(false))
        out += over(row, height, text, plainText(line).length < size.columns);
      row += height;
    }
    if (before.length > rows.length) out += at(rows.length) + clearBelow;
    this.#shown = rows;
    this.#size = size;
    // Whatever another program writes meanwhile lands below the frame.
    if (out !== "") this.#write(out + at(Math.min(row, size.rows - 1)));
  }

  /** The next frame is drawn whole, whatever another program has left on the terminal. */
  refresh(): void {
    if (this.#size !== undefined) this.#size = { columns: 0, rows: 0 };
  }

  /** Leaves the last frame where it is and gives the cursor back below it. */
  close(): void {
    if (this.#size !== undefined)
      this.#write(`${at(this.#shown.length - 1)}\n${clearBelow}${showCursor}`);
  }
}

/** A row over another; behind a full row nothing is to clear, and some terminals would take its last character. */
function over(row: number, height: number, text: string, isShort: boolean): string {
  if (height === 1) return at(row) + text + (isShort ? clearLine : "");
  const cleared = Array.from({ length: height }, (_, i) => at(row + i) + clearLine).join("");
  return cleared + at(row) + text;
}
