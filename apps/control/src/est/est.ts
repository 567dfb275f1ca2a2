import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { printable, type SecurityEvent } from "@wardmq/events";
import { certsOnly, csrAttributes } from "@wardmq/x509";
import type { Issuance } from "../ca/issuance.ts";
import type { PublicRequest, PublicResponse } from "../ca/public-objects.ts";
import type { RequestRate } from "../door/request-rate.ts";
import type { Requesters } from "../door/requester.ts";
import type { EnrolmentCodes } from "../pending/enrolment-codes.ts";
import type { Registry } from "../registry/registry.ts";
import { type Enrolment, EstRefusal, simpleEnrollSteps, simpleReenrollSteps } from "./enrol.ts";
import type { Manufacturers } from "./manufacturers.ts";

export interface EstParts {
  readonly requesters: Requesters;
  readonly registry: Registry;
  readonly issuance: Issuance;
  readonly codes: EnrolmentCodes;
  readonly manufacturers: Manufacturers;
  /** Wrong codes: of each device, and from each address. */
  readonly attempts: { readonly ofDevice: RequestRate; readonly ofAddress: RequestRate };
  /** DER of the CAs a device needs for its path: roots and issuing CAs. */
  readonly caCertificates: () => readonly Uint8Array[];
  readonly publicObject: (request: PublicRequest) => Promise<PublicResponse>;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly report: (line: string) => void;
  readonly now: () => number;
}

const prefix = "/.well-known/est/";
const certificates = "application/pkcs7-mime; smime-type=certs-only";
const longestBody = 64 * 1024;

/**
 * EST, RFC 7030 as RFC 8951 and RFC 9908 update it. Certificates at the TLS level are optional here: each path says
 * itself who may come. No keys are made for devices: serverkeygen is not implemented, nor is fullcmc.
 */
export function est(parts: EstParts): RequestListener {
  return (request, response) => {
    answer(parts, request, response).catch((error: unknown) => {
      if (request.destroyed && !request.complete) return; // the client went away within its request
      parts.report(error instanceof Error ? (error.stack ?? error.message) : String(error));
      refuse(response, new EstRefusal(500, "internal", "control made a mistake"));
    });
  };
}

async function answer(
  parts: EstParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = "" } = request;
  const method = methodOf(request);
  const operation = url.startsWith(prefix) ? url.slice(prefix.length) : undefined;
  switch (operation === undefined ? undefined : `${method} ${operation}`) {
    case "GET cacerts":
      return sendDer(response, certificates, certsOnly(parts.caCertificates()));
    case "GET csrattrs":
      return sendDer(response, "application/csrattrs", csrAttributes());
    case "POST simpleenroll":
      return enrol(parts, request, response, simpleEnrollSteps);
    case "POST simplereenroll":
      return enrol(parts, request, response, simpleReenrollSteps);
    case "POST serverkeygen":
    case "POST fullcmc":
      return refuse(response, new EstRefusal(501, "operation", "not implemented"));
    default:
      return sendPublic(parts, request, response);
  }
}

/** HEAD is GET whose answer has no body, which `node:http` leaves out (RFC 9110 section 9.3.2). */
function methodOf({ method = "" }: IncomingMessage): string {
  return method === "HEAD" ? "GET" : method;
}

/** What every other path may name: a CRL, a CA's certificate, an OCSP response. */
async function sendPublic(
  { publicObject }: EstParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = "" } = request;
  const asked = await bodyOf(request);
  if (asked === undefined)
    return refuse(response, new EstRefusal(413, "body", "the request is too long"));
  const [path = ""] = url.split("?");
  const found = await publicObject({ method: methodOf(request), path, body: asked });
  const age = found.maxAgeSeconds;
  response.writeHead(found.status, {
    "content-type": found.contentType,
    "content-length": found.body.length,
    "cache-control": age > 0 ? `public, max-age=${age}` : "no-store",
  });
  response.end(found.body);
}

/** Takes the steps of an enrolment one after the other; the first that refuses ends it, with an event. */
async function enrol(
  parts: EstParts,
  request: IncomingMessage,
  response: ServerResponse,
  steps: typeof simpleEnrollSteps,
): Promise<void> {
  const requester = parts.requesters.of(request);
  const enrolment: Enrolment = { headers: request.headers, requester, body: await bodyOf(request) };
  try {
    for (const step of Object.values(steps)) await step(enrolment, parts);
  } catch (error) {
    if (!(error instanceof EstRefusal)) throw error;
    const { check, message: why } = error;
    const { subject } = enrolment;
    const event = { type: "enrolment-refused", listener: "est", check, why } as const;
    const who = subject === undefined ? {} : { subject: printable(subject, 80) };
    parts.record({ ...event, ...who, address: requester.address });
    return refuse(response, error);
  }
  const { issued } = enrolment;
  if (issued === undefined) throw new Error("the steps of an enrolment issued nothing");
  // RFC 7030 section 4.2.3: the certificate that was issued, and no other.
  sendDer(response, certificates, certsOnly([issued.certificate.der]));
}

/** strongSwan reads neither chunks nor base64 in several lines. */
function sendDer(response: ServerResponse, type: string, der: Uint8Array): void {
  const body = Buffer.from(der).toString("base64");
  const length = Buffer.byteLength(body);
  response.writeHead(200, {
    "content-type": type,
    "content-transfer-encoding": "base64",
    "content-length": length,
  });
  response.end(body);
}

/** RFC 7030 section 4.2.3: what went wrong, in words, for the log of the device. */
function refuse(response: ServerResponse, { status, message, headers }: EstRefusal): void {
  const body = `${message}\n`;
  const length = Buffer.byteLength(body);
  response.writeHead(status, {
    ...headers,
    "content-type": "text/plain; charset=utf-8",
    "content-length": length,
    ...(status === 413 ? { connection: "close" } : {}),
  });
  response.end(body);
}

/** The body; undefined when it is, or says that it will be, longer than any request. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > longestBody) return undefined;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
