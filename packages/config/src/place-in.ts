import { isNode, LineCounter, parseDocument } from "yaml";

/** Where a value of a YAML text stands; lines and columns count from 1. */
export function placeIn(
  text: string,
  path: readonly (string | number)[],
): { readonly line: number; readonly column: number } {
  const lineCounter = new LineCounter();
  const node = parseDocument(text, { lineCounter, stringKeys: true }).getIn(path, true);
  const { line, col } = lineCounter.linePos((isNode(node) && node.range?.[0]) || 0);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
