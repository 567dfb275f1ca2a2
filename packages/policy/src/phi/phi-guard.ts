import type { PhiPart } from "../language/policy.ts";
import { type PhiDetectorName, phiDetectorNames, phiDetectors, signsOf } from "./detectors.ts";

/** Something that looks like an identifier of a patient. `text` is for a keyed hash, never for a log. */
export interface PhiFinding {
  readonly detector: PhiDetectorName;
  /** The index of its first character in the text as it is searched: decoded, and in compatible form. */
  readonly at: number;
  readonly text: string;
  readonly blocks: boolean;
}

export type PhiGuard = (text: string) => readonly PhiFinding[];

/** Longer texts are searched up to here: what is behind has no place in a topic or a property. */
const longest = 4096;

/** Tokens that look like numbers of patients and are none: uuids, ULIDs and written times. */
const knownSafe: readonly RegExp[] = [
  /(?<![0-9A-Za-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Za-z])/gi,
  /(?<![0-9A-Za-z])[0-7][0-9A-HJKMNP-TV-Z]{25}(?![0-9A-Za-z])/g,
  /(?<![0-9A-Za-z])\d{4}-\d\d-\d\dT\d\d:?\d\d(:?\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?(?![0-9A-Za-z])/g,
];

/** Seconds, or a thousandth and less of them, since 1970, in this century. */
const epochTime = /^1\d{9}(\d{3}){0,3}$/;

/** The guard of a policy's `phi` part; without one, every detector in its own mode. */
export function phiGuard(part: PhiPart | undefined): PhiGuard {
  const modes = new Map(phiDetectorNames.map((name) => [name, modeOf(name, part)] as const));
  const active = phiDetectorNames.filter((name) => modes.get(name) !== "off");
  const allowed = new Set(part?.allow.map((word) => word.toLowerCase()));
  const sitePatterns = part?.recordNumbers.map(sitePattern) ?? [];
  return (raw) => {
    if (raw.length < 3) return [];
    const decoded = decodedText(raw);
    const text = withoutSafe(decoded);
    const found: PhiFinding[] = [];
    const add = (detector: PhiDetectorName, at: number, length: number, isStrong: boolean) => {
      const match = text.slice(at, at + length);
      if (allowed.has(match.toLowerCase())) return;
      const blocks = isStrong && modes.get(detector) === "block";
      found.push({ detector, at, text: match, blocks });
    };
    for (const name of active) {
      for (const { at, length, isStrong } of signsOf(name, text)) {
        // What may be a time is nothing else, unless a key word and a check digit say so together.
        const isTime = epochTime.test(text.slice(at, at + length));
        if (!isTime || (isStrong && "check" in phiDetectors[name])) add(name, at, length, isStrong);
      }
    }
    if (modes.get("mrn") !== "off") {
      // The site says so itself: no key word is needed, and what looks like a time may be one of its numbers.
      for (const pattern of sitePatterns) {
        for (const { 0: match, index } of text.matchAll(pattern))
          add("mrn", index, match.length, true);
      }
    }
    return found;
  };
}

function modeOf(name: PhiDetectorName, part: PhiPart | undefined): "block" | "warn" | "off" {
  const written = part?.detectors.find((one) => one.name === name)?.mode;
  return written ?? part?.mode ?? phiDetectors[name].mode;
}

/** Against ways to write the same: percent signs, full-width digits, characters without width. */
function decodedText(raw: string): string {
  const cut = raw.slice(0, longest);
  const plain = /%[0-9A-Fa-f]{2}/.test(cut) ? percentDecoded(cut) : cut;
  return /^[\x20-\x7e]*$/.test(plain)
    ? plain
    : plain.normalize("NFKC").replaceAll(/[\u200b-\u200f\u2060\ufeff\u00ad]/g, "");
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Blanks of the same length in place of what is known to be safe, so that positions stay. */
function withoutSafe(text: string): string {
  let left = text;
  for (const pattern of knownSafe)
    left = left.replaceAll(pattern, (match) => " ".repeat(match.length));
  return left;
}

/** `AA######` for two fixed letters and six digits: `#` is a digit, `@` a letter. */
function sitePattern(written: string): RegExp {
  const source = [...written]
    .map((character) =>
      character === "#"
        ? "\\d"
        : character === "@"
          ? "[A-Za-z]"
          : `\\u{${character.codePointAt(0)?.toString(16)}}`,
    )
    .join("");
  return new RegExp(`(?<![A-Za-z0-9])${source}(?![A-Za-z0-9])`, "gu");
}
