const quote = 0x22;
const backslash = 0x5c;

/**
 * The value of a JSON text. JSON.parse takes the last of two members of one name, and others take the first (RFC 8259
 * section 4): here it is a SyntaxError that names it.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const key = repeatedKey(text);
  if (key !== undefined) throw new RepeatedKeyError(key);
  return value;
}

/** A member of an object stands there twice. */
export class RepeatedKeyError extends SyntaxError {
  /** Untrusted text. */
  readonly key: string;

  constructor(key: string) {
    super("a key stands twice");
    this.name = "RepeatedKeyError";
    this.key = key;
  }
}

/** The first name that an object of this well-formed JSON has twice, in whatever way it is escaped. */
function repeatedKey(text: string): string | undefined {
  /** The names of each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = [];
  let start = 0;
  let end = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) {
      start = i;
      end = endOfString(text, i);
      i = end - 1;
    } else if (code === 0x7b) open.push(new Set());
    else if (code === 0x5b) open.push(undefined);
    else if (code === 0x7d || code === 0x5d) open.pop();
    else if (code === 0x3a) {
      const key = JSON.parse(text.slice(start, end)) as string;
      const names = open.at(-1);
      if (names?.has(key)) return key;
      names?.add(key);
    }
  }
  return undefined;
}

/** The offset behind the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (text.charCodeAt(i) !== quote) i += text.charCodeAt(i) === backslash ? 2 : 1;
  return i + 1;
}
