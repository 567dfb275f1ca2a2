import { type DerElement, sameBytes, tags } from "./der.ts";
import { X509Error } from "./x509-error.ts";

/**
 * Time of RFC 5280 section 4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050 on, whole seconds, always Z.
 * `milliseconds` since 1970 are cut to the second.
 */
export function encodeTime(milliseconds: number): Uint8Array {
  const date = new Date(milliseconds);
  const year = date.getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) throw new X509Error("ERR_X509_VALUE", "time out of range");
  return year < 2050 ? timeOf(tags.utcTime, 2, date) : timeOf(tags.generalizedTime, 4, date);
}

/** GeneralizedTime in whole seconds whatever the year, as OCSP wants it (RFC 6960 section 4.2.2.1). */
export function encodeGeneralizedTime(milliseconds: number): Uint8Array {
  return timeOf(tags.generalizedTime, 4, new Date(milliseconds));
}

/** Hot path: a CRL has a hundred thousand of them. */
function timeOf(tag: number, yearDigits: 2 | 4, date: Date): Uint8Array {
  const octets = new Uint8Array(2 + yearDigits + 11);
  octets[0] = tag;
  octets[1] = yearDigits + 11;
  const year = date.getUTCFullYear();
  let at = 2;
  if (yearDigits === 4) at = writeTwoDigits(octets, at, Math.floor(year / 100));
  at = writeTwoDigits(octets, at, year % 100);
  at = writeTwoDigits(octets, at, date.getUTCMonth() + 1);
  at = writeTwoDigits(octets, at, date.getUTCDate());
  at = writeTwoDigits(octets, at, date.getUTCHours());
  at = writeTwoDigits(octets, at, date.getUTCMinutes());
  at = writeTwoDigits(octets, at, date.getUTCSeconds());
  octets[at] = zulu;
  return octets;
}

const zero = 0x30;
const zulu = 0x5a;

function writeTwoDigits(octets: Uint8Array, at: number, value: number): number {
  octets[at] = zero + Math.floor(value / 10);
  octets[at + 1] = zero + (value % 10);
  return at + 2;
}

/** Hot path. Milliseconds since 1970 of a Time in the one form `encodeTime` writes. */
export function decodeTime({ tag, content, bytes }: DerElement): number {
  const isUtc = tag === tags.utcTime;
  const two = (at: number) => ((content[at] ?? 0) - zero) * 10 + ((content[at + 1] ?? 0) - zero);
  const short = two(isUtc ? 0 : 2);
  const year = isUtc ? (short >= 50 ? 1900 : 2000) + short : two(0) * 100 + short;
  const at = isUtc ? 2 : 4;
  const milliseconds = Date.UTC(
    year,
    two(at) - 1,
    two(at + 2),
    two(at + 4),
    two(at + 6),
    two(at + 8),
  );
  // Writing it again refuses 30 February, 24:00:00, what is no digit, fractions and the wrong one of the two types.
  if (isInRange(milliseconds) && sameBytes(encodeTime(milliseconds), bytes)) return milliseconds;
  throw new X509Error("ERR_X509_DER", "not a time");
}

/** Whether `encodeTime` has a form for it. */
function isInRange(milliseconds: number): boolean {
  return milliseconds >= Date.UTC(1950) && milliseconds < Date.UTC(10_000);
}
