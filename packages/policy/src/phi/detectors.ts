/** What a detector saw: where, and whether it is sure. A weak sign alone never blocks. */
export interface Sign {
  /** The index of its first character in the text that was searched. */
  readonly at: number;
  readonly length: number;
  readonly isStrong: boolean;
}

interface Detector {
  readonly summary: string;
  /** Words near a number or name that make it one of this kind; the letters of a text are lower case here. */
  readonly keyWords?: RegExp;
  /** The mode where a policy says nothing. */
  readonly mode: "block" | "warn";
  /** Candidates by form, each a whole token. */
  readonly form: RegExp;
  /** What form alone cannot tell: ranges, check digits. */
  readonly check?: (match: string) => boolean;
  /** Whether form and check are enough without a key word. */
  readonly isSure?: (match: string) => boolean;
  /** Without a key word it is no sign at all. */
  readonly needsKeyWord?: true;
}

const start = "(?<![A-Za-z0-9])";
const end = "(?![A-Za-z0-9])";
const digitsOf = (text: string) => text.replaceAll(/\D/g, "");

/** The identifiers of patients that are looked for, one row each; docs/policy-reference.md lists the same rows. */
export const phiDetectors = {
  ssn: {
    summary: "a US social security number: with dashes, or nine digits near a key word",
    mode: "block",
    keyWords: /\b(ssn|social|security)/,
    form: new RegExp(`${start}\\d{3}-?\\d{2}-?\\d{4}${end}`, "g"),
    check: (match) => isSsn(digitsOf(match)),
    isSure: (match) => /^\d{3}-\d{2}-\d{4}$/.test(match),
    needsKeyWord: true,
  },
  mrn: {
    summary: "a medical record number: 6 to 10 digits near a key word, or a pattern of the site",
    mode: "block",
    keyWords: /\b(mrn|patient|pat|record|chart|encounter)/,
    form: new RegExp(`${start}\\d{6,10}${end}`, "g"),
    needsKeyWord: true,
  },
  "nhs-number": {
    summary: "a UK NHS number with its check digit; alone it is a weak sign",
    mode: "block",
    keyWords: /\bnhs/,
    form: new RegExp(`${start}\\d{3}[ -]?\\d{3}[ -]?\\d{4}${end}`, "g"),
    check: (match) => hasNhsCheckDigit(digitsOf(match)),
  },
  mbi: {
    summary: "a US Medicare beneficiary identifier; without dashes or a key word a weak sign",
    mode: "block",
    keyWords: /\b(mbi|medicare)/,
    form: new RegExp(
      `${start}[1-9][AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\\d-?[AC-HJKMNP-RT-Y][0-9AC-HJKMNP-RT-Y]\\d-?[AC-HJKMNP-RT-Y]{2}\\d{2}${end}`,
      "g",
    ),
    isSure: (match) => match.split("-").length === 3,
  },
  npi: {
    summary: "a US national provider identifier with its check digit; alone it is a weak sign",
    mode: "block",
    keyWords: /\b(npi|provider|physician)/,
    form: new RegExp(`${start}[12]\\d{9}${end}`, "g"),
    check: (match) => isLuhn(`80840${match}`),
  },
  email: {
    summary: "an e-mail address",
    mode: "block",
    form: /(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,4}/g,
    isSure: () => true,
  },
  phone: {
    summary: "a telephone number near a key word; with separators alone it is a weak sign",
    mode: "block",
    keyWords: /\b(phone|tel|mobile|cell|fax|call)/,
    form: /(?<![A-Za-z0-9])(\+\d{1,3}[ .-]?)?(\(\d{2,4}\)|\d{2,4})[ .-]\d{3,4}[ .-]\d{3,4}(?![A-Za-z0-9])|(?<![A-Za-z0-9])\+\d{9,14}(?!\d)/g,
  },
  "birth-date": {
    summary: "a date near a key word such as dob or born",
    mode: "block",
    keyWords: /\b(dob|birth|born|bday)/,
    form: new RegExp(
      `${start}((19|20)\\d{2}-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\\d|3[01])|(0?[1-9]|[12]\\d|3[01])[./-](0?[1-9]|[12]\\d|3[01])[./-](19|20)\\d{2})${end}`,
      "g",
    ),
    needsKeyWord: true,
  },
  name: {
    summary: "a word behind a key word such as surname or patientname",
    mode: "warn",
    keyWords: /(last|first|family|given|sur|full|patient)[ _.-]?name/,
    form: /(?<=name[ _.:=/-]{1,3})[A-Za-z'\u00c0-\u024f]{2,40}/gi,
    needsKeyWord: true,
  },
} as const satisfies Record<string, Detector>;

export type PhiDetectorName = keyof typeof phiDetectors;

export const phiDetectorNames = Object.keys(phiDetectors) as readonly PhiDetectorName[];

/** How far a key word may stand in front of what it is about. */
const nearness = 24;

/** What one detector sees in a text from which the known-safe tokens are gone. */
export function signsOf(name: PhiDetectorName, text: string): readonly Sign[] {
  const { keyWords, form, check, isSure, needsKeyWord }: Detector = phiDetectors[name];
  const signs: Sign[] = [];
  for (const { 0: match, index } of text.matchAll(form)) {
    if (check?.(match) === false) continue;
    const before = separated(text.slice(Math.max(0, index - nearness), index));
    const hasKeyWord = keyWords?.test(before) === true;
    const isStrong = hasKeyWord || isSure?.(match) === true;
    if (needsKeyWord && !isStrong) continue;
    signs.push({ at: index, length: match.length, isStrong });
  }
  return signs;
}

/** `lastDOB_1980` as words: a boundary stands at `_` and where a capital follows a small letter. */
function separated(text: string): string {
  return text
    .replaceAll(/([a-z])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase();
}

/** Numbers that are never given out: area 000, 666 and 9xx, group 00, serial 0000. */
function isSsn(digits: string): boolean {
  return /^(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}$/.test(digits);
}

/** Modulus 11 with weights 10 to 2; a check digit of 10 is never used. */
function hasNhsCheckDigit(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < 9; i++) sum += Number(digits[i]) * (10 - i);
  const check = (11 - (sum % 11)) % 11;
  return check !== 10 && check === Number(digits[9]);
}

function isLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]) * (i % 2 === 1 ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}
