import { asciiString, type DerElement, sameBytes, tags } from "./der.ts";
import { X509Error } from "./x509-error.ts";

/**
 * Time of RFC 5280 section 4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050 on, whole seconds, always Z.
 * `milliseconds` since 1970 are cut to the second.
 */
export function encodeTime(milliseconds: number): Uint8Array {
  const year = new Date(milliseconds).getUTCFullYear();
  if (!(year >= 1950 && year <= 9999)) throw new X509Error("ERR_X509_VALUE", "time out of range");
  const digits = new Date(milliseconds).toISOString().slice(0, 19).replace(/[-:T]/g, "");
  return year < 2050
    ? asciiString(tags.utcTime, `${digits.slice(2)}Z`)
    : asciiString(tags.generalizedTime, `${digits}Z`);
}

/** GeneralizedTime in whole seconds whatever the year, as OCSP wants it (RFC 6960 section 4.2.2.1). */
export function encodeGeneralizedTime(milliseconds: number): Uint8Array {
  const digits = new Date(milliseconds).toISOString().slice(0, 19).replace(/[-:T]/g, "");
  return asciiString(tags.generalizedTime, `${digits}Z`);
}

/** Milliseconds since 1970 of a Time in the one form `encodeTime` writes. */
export function decodeTime(time: DerElement): number {
  const text = String.fromCharCode(...time.content.subarray(0, 16));
  const [, yy, rest] =
    (time.tag === tags.utcTime ? /^(\d{2})(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/).exec(text) ?? [];
  if (yy === undefined || rest === undefined) throw new X509Error("ERR_X509_DER", "not a time");
  const year = time.tag === tags.utcTime ? (Number(yy) >= 50 ? 1900 : 2000) + Number(yy) : yy;
  const [month, day, hour, minute, second] = rest.match(/../g) ?? [];
  const milliseconds = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // Writing it again refuses 30 February, 24:00:00, fractions and the wrong one of the two types.
  if (Number.isNaN(milliseconds) || !sameBytes(encodeTime(milliseconds), time.bytes)) {
    throw new X509Error("ERR_X509_DER", "not a time");
  }
  return milliseconds;
}
