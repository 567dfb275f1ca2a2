export type Style = "plain" | "bold" | "dim" | "high" | "medium" | "low" | "good";

export interface Span {
  readonly text: string;
  readonly style: Style;
}

/** One line of the screen; printable ASCII only, so that a character is a column. */
export type Line = readonly Span[];

export const span = (text: string, style: Style = "plain"): Span => ({ text, style });

/** The line cut to a width. */
export function cut(line: Line, width: number): Line {
  let left = width;
  const spans: Span[] = [];
  for (const { text, style } of line) {
    if (left <= 0) break;
    spans.push({ text: text.slice(0, left), style });
    left -= text.length;
  }
  return spans;
}

export const plainText = (line: Line): string => line.map(({ text }) => text).join("");

/** Colours after IEC 60601-1-8: red, yellow, cyan for high, medium and low; nothing blinks. */
const escapes: Readonly<Record<Style, string>> = {
  plain: "",
  bold: "\u001b[1m",
  dim: "\u001b[2m",
  high: "\u001b[1;97;41m",
  medium: "\u001b[30;43m",
  low: "\u001b[30;46m",
  good: "\u001b[32m",
};

/** The line with the escape sequences of a terminal. */
export const painted = (line: Line): string =>
  line
    .map(({ text, style }) => (style === "plain" ? text : `${escapes[style]}${text}\u001b[0m`))
    .join("");
