import { X509Error } from "./x509-error.ts";

/** Tags of the universal types that certificates are made of (X.690 section 8). */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The tag `[number]` of a context: constructed when it wraps other elements, primitive when it replaces a tag. */
export function contextTag(number: number, form: "constructed" | "primitive"): number {
  return (form === "constructed" ? 0xa0 : 0x80) | number;
}

const maximumLength = 0xffffff;

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  if (length <= maximumLength) return [0x83, length >> 16, (length >> 8) & 0xff, length & 0xff];
  throw new X509Error("ERR_X509_VALUE", "longer than 16 MiB");
}

/** One element: tag, length, and the parts one after the other. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const header = lengthOctets(length);
  const bytes = new Uint8Array(1 + header.length + length);
  bytes[0] = tag;
  bytes.set(header, 1);
  let offset = 1 + header.length;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** A SEQUENCE OF any number of elements: an engine may pass no more than some ten thousand arguments. */
export function sequenceOf(parts: readonly Uint8Array[]): Uint8Array {
  return element(tags.sequence, Buffer.concat(parts));
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return element(tags.sequence, ...parts);
}

export function octetString(bytes: Uint8Array): Uint8Array {
  return element(tags.octetString, bytes);
}

export function boolean(value: boolean): Uint8Array {
  return element(tags.boolean, Uint8Array.of(value ? 0xff : 0));
}

/** A BIT STRING of whole octets, as signatures and keys are. */
export function bitString(bytes: Uint8Array): Uint8Array {
  return element(tags.bitString, Uint8Array.of(0), bytes);
}

/** A BIT STRING of named bits: DER leaves out zeros at the end (X.690 section 11.2.2). */
export function namedBits(bits: readonly number[]): Uint8Array {
  const highest = Math.max(-1, ...bits);
  const octets = new Uint8Array(Math.floor(highest / 8) + 1);
  for (const bit of bits) {
    const at = Math.floor(bit / 8);
    octets[at] = (octets[at] ?? 0) | (0x80 >> (bit % 8));
  }
  const unused = octets.length * 8 - (highest + 1);
  return element(tags.bitString, Uint8Array.of(unused), octets);
}

/** A non-negative INTEGER from its big-endian octets. */
export function unsignedInteger(octets: Uint8Array): Uint8Array {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start += 1;
  const minimal = octets.length === 0 ? Uint8Array.of(0) : octets.subarray(start);
  const needsSign = (minimal[0] ?? 0) >= 0x80;
  return needsSign
    ? element(tags.integer, Uint8Array.of(0), minimal)
    : element(tags.integer, minimal);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    if (!Number.isSafeInteger(arc) || arc < 0 || arc > 0x7fffffff) {
      throw new X509Error("ERR_X509_VALUE", "not an object identifier");
    }
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    octets.push(...groups);
  }
  return element(tags.objectIdentifier, Uint8Array.from(octets));
}

/** The dotted form of an OBJECT IDENTIFIER; refuses padded arcs and arcs of more than 31 bits. */
export function objectIdentifierText(identifier: DerElement): string {
  const arcs: number[] = [];
  let arc = 0;
  let within = false;
  for (const octet of identifier.content) {
    const padded = !within && octet === 0x80;
    arc = arc * 128 + (octet & 0x7f);
    if (padded || arc > 0x7fffffff) throw new X509Error("ERR_X509_DER", "not an object identifier");
    within = octet >= 0x80;
    if (within) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [first, ...rest] = arcs;
  if (within || first === undefined)
    throw new X509Error("ERR_X509_DER", "not an object identifier");
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...rest].join(".");
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

/** A string of single-octet characters under the given tag (IA5String, PrintableString or a context tag). */
export function asciiString(tag: number, text: string): Uint8Array {
  const octets = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) throw new X509Error("ERR_X509_VALUE", "not printable ASCII");
    octets[i] = code;
  }
  return element(tag, octets);
}

/** One element that was read: `content` without, `bytes` with its tag and length. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
}

/**
 * Reads DER strictly: one-octet tags, definite and minimal lengths, nothing beyond the end. What it accepts, `element`
 * writes back bit for bit.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get nextTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The next element, which must have this tag (any tag when none is given). */
  read(tag?: number): DerElement {
    const start = this.#offset;
    const found = this.#octet();
    if ((found & 0x1f) === 0x1f) throw new X509Error("ERR_X509_DER", "a tag of several octets");
    if (tag !== undefined && found !== tag) throw new X509Error("ERR_X509_DER", "unexpected tag");
    const length = this.#length();
    const contentStart = this.#offset;
    const end = contentStart + length;
    if (end > this.#bytes.length) throw new X509Error("ERR_X509_DER", "cut short");
    this.#offset = end;
    return {
      tag: found,
      content: this.#bytes.subarray(contentStart, end),
      bytes: this.#bytes.subarray(start, end),
    };
  }

  readOptional(tag: number): DerElement | undefined {
    return this.nextTag === tag ? this.read(tag) : undefined;
  }

  /** Refuses whatever would trail. */
  end(): void {
    if (this.#offset !== this.#bytes.length) {
      throw new X509Error("ERR_X509_DER", "something follows the value");
    }
  }

  #octet(): number {
    const octet = this.#bytes[this.#offset];
    if (octet === undefined) throw new X509Error("ERR_X509_DER", "cut short");
    this.#offset += 1;
    return octet;
  }

  #length(): number {
    const first = this.#octet();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 3) throw new X509Error("ERR_X509_DER", "length out of range");
    let length = 0;
    for (let i = 0; i < count; i += 1) length = length * 256 + this.#octet();
    const minimal = length >= 0x80 && length >= 2 ** (8 * (count - 1));
    if (!minimal) throw new X509Error("ERR_X509_DER", "length is not minimal");
    return length;
  }
}

/** The octets of a BIT STRING that has no unused bits. */
export function bitStringOctets(bits: DerElement): Uint8Array {
  if (bits.tag !== tags.bitString || bits.content[0] !== 0) {
    throw new X509Error("ERR_X509_DER", "not a bit string of whole octets");
  }
  return bits.content.subarray(1);
}

/** The elements of a SEQUENCE OF, one after the other. */
export function elementsOf(content: Uint8Array): readonly DerElement[] {
  const reader = new DerReader(content);
  const elements: DerElement[] = [];
  while (reader.nextTag !== undefined) elements.push(reader.read());
  return elements;
}

/** The magnitude of a non-negative INTEGER in its minimal form. */
export function unsignedOctets(integer: DerElement): Uint8Array {
  const [first, second] = integer.content;
  const bad =
    integer.tag !== tags.integer ||
    first === undefined ||
    first >= 0x80 ||
    (first === 0 && second !== undefined && second < 0x80);
  if (bad) throw new X509Error("ERR_X509_DER", "not a non-negative integer");
  return first === 0 && second !== undefined ? integer.content.subarray(1) : integer.content;
}
