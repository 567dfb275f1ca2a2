import { CST, Lexer } from "yaml";

/** Something in the text that a policy may not use, and at which offset. */
export interface RefusedFeature {
  readonly offset: number;
  readonly message: string;
  readonly hint: string;
}

const writeOut = "write the value itself";

/** What YAML has and a policy has not: all of it makes a file mean something else than a reader sees. */
const refused: Readonly<Record<string, { readonly expected: string; readonly hint: string }>> = {
  anchor: { expected: "no anchor (&name)", hint: `${writeOut} where it is needed` },
  alias: { expected: "no alias (*name)", hint: 'put a text that begins with * in quotes: "*"' },
  tag: { expected: "no tag (!name)", hint: `${writeOut} without a tag` },
  "directive-line": { expected: "no directive (%name)", hint: "remove the line" },
};

/** A policy is five levels deep; more than this only exhausts the parser. */
const maximumDepth = 20;

/** Every use of a refused feature. Works on the lexer's tokens, so a quoted `*` or `!` is text. */
export function refusedFeatures(text: string): readonly RefusedFeature[] {
  const control = unprintable(text);
  if (control) return [control];
  const found: RefusedFeature[] = [];
  let offset = 0;
  let isText = false;
  let depth = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (lexeme === CST.SCALAR) {
      isText = true; // the next lexeme is a plain text, whatever it looks like
      continue;
    }
    if (lexeme === CST.DOCUMENT || lexeme === CST.FLOW_END) continue;
    const type = isText ? null : CST.tokenType(lexeme);
    isText = false;
    const rule = type === null || !Object.hasOwn(refused, type) ? undefined : refused[type];
    if (rule) found.push({ offset, message: `expected ${rule.expected} here`, hint: rule.hint });
    if (type === "flow-seq-start" || type === "flow-map-start") depth += 1;
    if (type === "flow-seq-end" || type === "flow-map-end") depth -= 1;
    if (depth > maximumDepth) return [...found, tooDeep(offset)];
    offset += lexeme.length;
  }
  return found;
}

function tooDeep(offset: number): RefusedFeature {
  const message = `expected at most ${maximumDepth} brackets or braces inside each other`;
  return { offset, message, hint: "close the brackets and braces" };
}

/** YAML 1.2.2 section 5.1; the lexer also uses some of these for itself. */
function unprintable(text: string): RefusedFeature | undefined {
  const offset = text.search(/[^\t\n\r\P{Cc}]|\p{Cs}|[\uFFFE\uFFFF]/u);
  if (offset === -1) return undefined;
  const code = text.charCodeAt(offset).toString(16).toUpperCase().padStart(4, "0");
  const message = `expected visible text, found the character U+${code}`;
  return { offset, message, hint: "save the file as UTF-8 without that character" };
}
