import type { X509Certificate } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { networkOf } from "@wardmq/tls";
import { decodeCertificate, isUuid, nameValues, sameBytes, X509Error } from "@wardmq/x509";
import type { Issued } from "../ca/issuance.ts";
import { decodeRequest } from "../ca/request-checks.ts";
import { heldBy } from "../door/holder.ts";
import type { Requester } from "../door/requester.ts";
import { Failure } from "../failure.ts";
import type { Taken } from "../pending/enrolment-codes.ts";
import type { EstParts } from "./est.ts";

/** An enrolment on its way through its steps. */
export interface Enrolment {
  readonly headers: IncomingHttpHeaders;
  readonly requester: Requester;
  /** Undefined when it was too long. */
  readonly body: Buffer | undefined;
  /** PKCS#10 in DER. */
  certificateRequest?: Uint8Array;
  /** Who the certificate is for, or who the client says it is while that is not proven. */
  subject?: string;
  /** Who stands behind it, for the history. */
  actor?: string;
  /** A one-time code that was used. */
  code?: Taken;
  issued?: Issued;
}

/** Expected: the client gets the status and the sentence, the event the check. */
export class EstRefusal extends Error {
  readonly status: number;
  readonly check: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    check: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.check = check;
    this.headers = headers;
  }
}

type Step = (enrolment: Enrolment, parts: EstParts) => void | Promise<void>;
type Steps = Readonly<Record<string, Step>>;

/** EST /simpleenroll, RFC 7030 section 4.2.1: the first certificate. `issue` has its own list in ca/issuance.ts. */
export const simpleEnrollSteps: Steps = {
  readRequest,
  identifyByCodeOrMaker,
  issue,
};

/** EST /simplereenroll, RFC 7030 section 4.2.2: the current certificate asks for the next. */
export const simpleReenrollSteps: Steps = {
  readRequest,
  identifyByCurrentCertificate,
  refuseSameKey,
  issue,
};

/** RFC 8951 section 3.1: base64, whatever Content-Transfer-Encoding says, and white space in it means nothing. */
function readRequest(enrolment: Enrolment): void {
  const { headers, body } = enrolment;
  if (body === undefined) throw new EstRefusal(413, "body", "the request is too long");
  const [type = ""] = (headers["content-type"] ?? "").split(";");
  if (type.trim().toLowerCase() !== "application/pkcs10")
    throw new EstRefusal(415, "content-type", "send application/pkcs10");
  const text = body.toString("latin1").replace(/[\t\n\r ]/g, "");
  const der = Buffer.from(text, "base64");
  if (text === "" || der.toString("base64") !== text)
    throw new EstRefusal(400, "base64", "the body is not base64");
  try {
    decodeRequest(der); // before a code is used up for it
  } catch (error) {
    throw refusalOf(error);
  }
  enrolment.certificateRequest = der;
}

function identifyByCodeOrMaker(enrolment: Enrolment, parts: EstParts): void {
  const { certificate } = enrolment.requester;
  if (enrolment.headers.authorization !== undefined) identifyByCode(enrolment, parts);
  else if (certificate !== undefined) identifyByMaker(enrolment, certificate, parts);
  else
    throw unauthorized("credential", "send the device's uuid and its one-time code (HTTP Basic)");
}

/** A wrong code says as little as an unknown device: both take as long, and count for the device and the address. */
function identifyByCode(enrolment: Enrolment, { codes, attempts, now }: EstParts): void {
  const { headers, requester } = enrolment;
  const { user, password } = basicCredentials(headers.authorization);
  const subject = `device:${user}`;
  enrolment.subject = subject;
  const network = networkOf(requester.address);
  if (attempts.ofDevice.isSpent(subject) || attempts.ofAddress.isSpent(network))
    throw new EstRefusal(429, "attempts", "too many wrong codes", { "retry-after": "60" });
  const taken = isUuid(user) ? codes.take(subject, password, now()) : undefined;
  if (taken === undefined) {
    attempts.ofDevice.take(subject);
    attempts.ofAddress.take(network);
    throw unauthorized("code", "the code is not the device's, was used, or its time is over");
  }
  enrolment.code = taken;
  enrolment.actor = `${subject} with a code`;
}

function basicCredentials(header = ""): { readonly user: string; readonly password: string } {
  const [, encoded = ""] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(header) ?? [];
  const text = Buffer.from(encoded, "base64").toString("latin1");
  const colon = text.indexOf(":");
  if (colon < 0)
    throw unauthorized("credential", "send HTTP Basic: the device's uuid and its code");
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** IEEE 802.1AR: the subject's serialNumber tells the device, its issuer the maker; the record has both. */
function identifyByMaker(
  enrolment: Enrolment,
  certificate: X509Certificate,
  { manufacturers, registry }: EstParts,
): void {
  const maker = manufacturers.makerOf(certificate);
  if (maker === undefined) {
    throw new EstRefusal(
      403,
      "maker",
      "the certificate is not of a maker's CA that is trusted here; to renew, use simplereenroll",
    );
  }
  const why = manufacturers.refuses(maker, certificate);
  if (why !== undefined) {
    const sentence = { revoked: "has revoked the certificate", stale: "has no CRL that is fresh" };
    throw new EstRefusal(403, `maker-${why}`, `${maker} ${sentence[why]}`);
  }
  const [serial, ...more] = serialNumbersOf(certificate);
  if (serial === undefined || more.length > 0)
    throw new EstRefusal(403, "serial-number", "the certificate's subject has no serialNumber");
  const found = registry.deviceOfMaker(maker, serial);
  if (found === undefined) {
    const why = "no record has this maker and serial number: register the device first";
    throw new EstRefusal(403, "serial-number", why);
  }
  enrolment.subject = found.id;
  enrolment.actor = `${found.id} with a certificate of ${maker}`;
}

function serialNumbersOf(certificate: X509Certificate): readonly string[] {
  try {
    return nameValues(decodeCertificate(certificate.raw).subject, "serialNumber");
  } catch (error) {
    if (error instanceof X509Error) return [];
    throw error;
  }
}

function identifyByCurrentCertificate(enrolment: Enrolment, { registry }: EstParts): void {
  const { certificate } = enrolment.requester;
  if (certificate === undefined) {
    const why = "come with the current certificate; without one, use simpleenroll";
    throw new EstRefusal(403, "client-certificate", why);
  }
  const held = heldBy(registry, certificate);
  if ("check" in held) throw new EstRefusal(403, held.check, held.why);
  enrolment.subject = held.id;
  enrolment.actor = held.id;
}

function refuseSameKey({ requester, certificateRequest }: Enrolment): void {
  if (requester.certificate === undefined || certificateRequest === undefined) return;
  const current = requester.certificate.publicKey.export({ type: "spki", format: "der" });
  if (sameBytes(decodeRequest(certificateRequest).publicKey, current))
    throw new EstRefusal(400, "new-key", "make a new key for the next certificate");
}

async function issue(enrolment: Enrolment, { issuance, now }: EstParts): Promise<void> {
  const { subject, actor, certificateRequest } = enrolment;
  if (subject === undefined || actor === undefined || certificateRequest === undefined)
    throw new Error("a step is missing before issue");
  try {
    const doing = { actor, at: now() };
    enrolment.issued = await issuance.issue(subject, certificateRequest, doing);
  } catch (error) {
    enrolment.code?.restore(); // nothing was issued for it
    throw refusalOf(error);
  }
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof Failure)) return error;
  const check = error.code.replace(/^ERR_/, "").toLowerCase().replaceAll("_", "-");
  const isOurs = error.code === "ERR_CA" || error.code === "ERR_INTERNAL";
  const hint = error.hint === undefined ? "" : `; ${error.hint}`;
  return new EstRefusal(isOurs ? 503 : 400, check, `${error.message}${hint}`);
}

function unauthorized(check: string, why: string): EstRefusal {
  return new EstRefusal(401, check, why, { "www-authenticate": 'Basic realm="enrolment"' });
}
