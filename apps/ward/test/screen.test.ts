import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Placed, Size } from "../src/frame.ts";
import { Screen } from "../src/screen.ts";
import { plainText, span } from "../src/text.ts";

const introducer = "\u001b[";
const tokens = new RegExp(`${introducer.replace("[", "\\[")}[?0-9;]*[A-Za-z]|.`, "gs");

/** As much of a terminal as a screen is written for: rows, a cursor, wrapping, erasing. */
class Terminal {
  cells: string[][];
  isCursorShown = true;
  readonly #size: Size;
  #row = 0;
  #column = 0;

  constructor(size: Size) {
    this.#size = size;
    this.cells = Array.from({ length: size.rows }, () => []);
  }

  write(text: string): void {
    const found = text.match(tokens) ?? [];
    for (const token of found) {
      if (token.startsWith(introducer)) this.#control(token.slice(2));
      else if (token === "\n") this.#down();
      else this.#put(token);
    }
  }

  get text(): string {
    const lines = this.cells.map((row) =>
      Array.from(row, (c) => c ?? " ")
        .join("")
        .trimEnd(),
    );
    return lines.join("\n").trimEnd();
  }

  #put(character: string): void {
    if (this.#column === this.#size.columns) {
      this.#down();
      this.#column = 0;
    }
    const row = this.cells[this.#row];
    assert.ok(row);
    row[this.#column] = character;
    this.#column += 1;
  }

  #down(): void {
    if (this.#row + 1 < this.#size.rows) this.#row += 1;
    else this.cells = [...this.cells.slice(1), []];
  }

  #control(code: string): void {
    const position = /^(\d+);1H$/.exec(code);
    if (position) [this.#row, this.#column] = [Number(position[1]) - 1, 0];
    else if (code === "H") [this.#row, this.#column] = [0, 0];
    else if (code === "2J") this.cells = this.cells.map(() => []);
    else if (code === "K") this.#eraseLine();
    else if (code === "J") {
      this.#eraseLine();
      this.cells = this.cells.map((row, i) => (i > this.#row ? [] : row));
    } else if (code === "?25l") this.isCursorShown = false;
    else if (code === "?25h") this.isCursorShown = true;
    else assert.match(code, /^[0-9;]*m$/);
  }

  /** Behind a full row the cursor stands on its last character: erasing there takes it. */
  #eraseLine(): void {
    const from = Math.min(this.#column, this.#size.columns - 1);
    this.cells[this.#row] = (this.cells[this.#row] ?? []).slice(0, from);
  }
}

const size = { columns: 10, rows: 12 };

const place = (text: string): Placed => ({
  line: [span(text, "high")],
  rows: Math.max(1, Math.ceil(text.length / size.columns)),
});

/** What the frame must look like. */
const expected = (frame: readonly Placed[]): string =>
  frame
    .flatMap(({ line, rows }) => {
      const text = plainText(line);
      return Array.from({ length: rows }, (_, i) =>
        text.slice(i * size.columns, (i + 1) * size.columns).trimEnd(),
      );
    })
    .join("\n")
    .trimEnd();

describe("the screen", () => {
  test("shows exactly the last frame, whatever was shown before", () => {
    const line = fc.string({ unit: fc.constantFrom("a", "b", " "), maxLength: 23 }).map(place);
    const frames = fc.array(fc.array(line, { maxLength: 4 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(frames, (sequence) => {
        const terminal = new Terminal(size);
        terminal.write("what was there before\n");
        const screen = new Screen((text) => terminal.write(text));
        for (const frame of sequence) {
          screen.draw(frame, size);
          assert.equal(terminal.text, expected(frame));
        }
      }),
    );
  });

  test("writes nothing for a frame that did not change, and only the line that did", () => {
    let out = "";
    const screen = new Screen((text) => {
      out += text;
    });
    screen.draw([place("one"), place("two")], size);
    out = "";
    screen.draw([place("one"), place("two")], size);
    assert.equal(out, "");
    screen.draw([place("one"), place("TWO")], size);
    assert.doesNotMatch(out, /one/);
    assert.match(out, /TWO/);
  });

  test("draws everything anew when the terminal has another size", () => {
    let out = "";
    const screen = new Screen((text) => {
      out += text;
    });
    screen.draw([place("one")], size);
    out = "";
    screen.draw([place("one")], { ...size, columns: 30 });
    assert.ok(out.includes(`${introducer}2J`) && out.includes("one"));
  });

  test("draws everything anew when another program has written over it", () => {
    const terminal = new Terminal(size);
    const screen = new Screen((text) => terminal.write(text));
    screen.draw([place("one"), place("two")], size);
    terminal.write("noise");
    assert.equal(terminal.text, "one\ntwo\nnoise");
    screen.refresh();
    screen.draw([place("one"), place("two")], size);
    assert.equal(terminal.text, "one\ntwo");
  });

  test("hides the cursor and gives it back below the last frame", () => {
    const terminal = new Terminal(size);
    const screen = new Screen((text) => terminal.write(text));
    screen.draw([place("one"), place("two")], size);
    assert.equal(terminal.isCursorShown, false);
    screen.close();
    assert.equal(terminal.isCursorShown, true);
    terminal.write("$");
    assert.equal(terminal.text, "one\ntwo\n$");
  });

  test("leaves the terminal alone when nothing was drawn", () => {
    let out = "";
    new Screen((text) => {
      out += text;
    }).close();
    assert.equal(out, "");
  });
});
