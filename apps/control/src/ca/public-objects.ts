import type { Certificate } from "@wardmq/x509";
import { caIdOf } from "./certificate-authority.ts";
import type { OcspResponder } from "./ocsp-responder.ts";
import type { RevocationLists } from "./revocation-lists.ts";

/** What the HTTPS doors give to anybody, without a client certificate: signed objects that are public by nature. */
export interface PublicObjects {
  readonly lists: RevocationLists;
  readonly responder: OcspResponder;
  readonly cas: () => readonly Certificate[];
}

export interface PublicRequest {
  readonly method: string;
  /** Path of the URL, without its query. */
  readonly path: string;
  readonly body: Uint8Array;
}

export interface PublicResponse {
  readonly status: 200 | 400 | 404;
  readonly contentType: string;
  readonly maxAgeSeconds: number;
  readonly body: Uint8Array;
}

const notFound: PublicResponse = {
  status: 404,
  contentType: "text/plain",
  maxAgeSeconds: 0,
  body: Buffer.from("no such object\n"),
};

/**
 * `GET /crl/ID.crl` (RFC 5280 section 4.2.1.13), `GET /ca/ID.cer`, and OCSP (RFC 6960 appendix A.1) as `POST /ocsp` and
 * `GET /ocsp/BASE64`. ID is the key identifier of the CA in hex.
 */
export async function publicObject(
  { lists, responder, cas }: PublicObjects,
  { method, path, body }: PublicRequest,
): Promise<PublicResponse> {
  const [, folder = "", name = ""] = /^\/(crl|ca|ocsp)(?:\/(.*))?$/s.exec(path) ?? [];
  if (folder === "ocsp") return ocsp(responder, method, name, body);
  const [, caId = ""] = (folder === "crl" ? /^(.{40})\.crl$/ : /^(.{40})\.cer$/).exec(name) ?? [];
  if (method !== "GET" || caId === "") return notFound;
  if (folder === "crl") {
    const list = lists.of(caId);
    return list === undefined ? notFound : found("application/pkix-crl", list.der, 600);
  }
  const ca = cas().find((one) => caIdOf(one) === caId);
  return ca === undefined ? notFound : found("application/pkix-cert", ca.der, 86_400);
}

async function ocsp(
  responder: OcspResponder,
  method: string,
  name: string,
  body: Uint8Array,
): Promise<PublicResponse> {
  const request = method === "POST" && name === "" ? body : fromPath(method, name);
  if (request === undefined) return notFound;
  return found("application/ocsp-response", await responder.answer(request), 0);
}

/** The base64 of a GET is percent-encoded where it has to be; some clients encode none of it. */
function fromPath(method: string, name: string): Uint8Array | undefined {
  if (method !== "GET" || name === "" || name.length > 4096) return undefined;
  try {
    return new Uint8Array(Buffer.from(decodeURIComponent(name), "base64"));
  } catch {
    return undefined;
  }
}

function found(contentType: string, body: Uint8Array, maxAgeSeconds: number): PublicResponse {
  return { status: 200, contentType, maxAgeSeconds, body };
}
