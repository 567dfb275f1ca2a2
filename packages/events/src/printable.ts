const plainText = /^[ !#-[\]-~]*$/;

/**
 * Untrusted text made safe to print: control characters, quotes that could end a field, bidirectional marks and
 * everything outside printable ASCII become `\u{..}`, and the whole is cut after `maximum` characters of input.
 */
export function printable(text: string, maximum = 200): string {
  if (text.length <= maximum && plainText.test(text)) return text;
  let out = "";
  let taken = 0;
  for (const character of text) {
    if (taken === maximum) return `${out}…`;
    taken += 1;
    const code = character.codePointAt(0) ?? 0;
    const plain = code >= 0x20 && code < 0x7f && code !== 0x5c && code !== 0x22;
    out += plain ? character : `\\u{${code.toString(16)}}`;
  }
  return out;
}
