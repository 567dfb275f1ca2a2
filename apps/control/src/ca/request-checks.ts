import { generateKeyPairSync } from "node:crypto";
import {
  type CertificateRequest,
  decodeCertificateRequest,
  decodePem,
  type Extension,
  encodeExtension,
  extensionOids,
  requestAttributes,
  sameBytes,
  X509Error,
} from "@wardmq/x509";
import type { ControlErrorCode } from "../errors.ts";
import { Failure } from "../failure.ts";
import { verifies } from "./certificate-authority.ts";

/** What a request is judged against. */
export interface Requested {
  readonly request: CertificateRequest;
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex. */
  readonly publicKeyHash: string;
  /** The extensions that the certificate is going to have: a request may ask for these, and for nothing else. */
  readonly extensions: readonly Extension[];
  /** SHA-256 of the public keys of the deployment itself. */
  readonly ownKeys: Pick<ReadonlySet<string>, "has">;
}

export interface Refusal {
  readonly code: ControlErrorCode;
  readonly why: string;
  readonly hint: string;
}

/** Gives the refusal of a request, or nothing. */
export type RequestCheck = (requested: Requested) => Refusal | undefined;

const newKeyHint = "make a new key";
const plainHint = "make the request with nothing in it but the key and a subject";

/** Everything a request has to pass before its key is looked up, in this order; the names stand in events. */
const requestChecks: Readonly<Record<string, RequestCheck>> = {
  "key-type": ({ request }) =>
    request.key.type.startsWith("ML-DSA") && !hasMlDsa()
      ? {
          code: "ERR_CERTIFICATE_REQUEST",
          why: `${request.key.type} is not known to the runtime of this control`,
          hint: "run control on Node 24, or make a P-256, P-384 or Ed25519 key",
        }
      : undefined,

  "proof-of-possession": ({ request }) => {
    const { certificationRequestInfo, signature, signatureAlgorithm, publicKey } = request;
    if (verifies(certificationRequestInfo, signature, signatureAlgorithm, publicKey))
      return undefined;
    return {
      code: "ERR_PROOF_OF_POSSESSION",
      why: "the certificate request is not signed by the key it asks for",
      hint: "make the request with the private key of its public key",
    };
  },

  "ca-bits": ({ request }) =>
    request.requestedExtensions.some(asksToBeCa)
      ? refusedRequest("it asks to be a CA", plainHint)
      : undefined,

  "requested-attributes": ({ request: { attributes } }) => {
    // EST clients link a request to their TLS session by it (RFC 7030 section 3.5); it is never used as a password.
    const allowed: readonly string[] = Object.values(requestAttributes);
    const other = attributes.find((oid) => !allowed.includes(oid));
    if (other === undefined) return undefined;
    return refusedRequest(`it has the attribute ${other}`, plainHint);
  },

  "requested-extensions": ({ request, extensions }) => {
    const other = request.requestedExtensions.find(
      (asked) => !extensions.some((given) => isSameExtension(asked, given)),
    );
    if (other === undefined) return undefined;
    const name = Object.entries(extensionOids).find(([, oid]) => oid === other.oid)?.[0];
    return refusedRequest(
      `it asks for ${name ?? `the extension ${other.oid}`} with another value than the profile gives`,
      plainHint,
    );
  },

  "own-key": ({ publicKeyHash, ownKeys }) =>
    ownKeys.has(publicKeyHash)
      ? {
          code: "ERR_KEY_IN_USE",
          why: "the public key is one of this deployment's own",
          hint: newKeyHint,
        }
      : undefined,
};

/** Reads a PKCS#10 request in DER or PEM, or throws the refusal with the check it failed. */
export function decodeRequest(request: Uint8Array | string): CertificateRequest {
  try {
    return decodeCertificateRequest(
      typeof request === "string" ? decodePem("CERTIFICATE REQUEST", request) : request,
    );
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    const check = error.code === "ERR_X509_PUBLIC_KEY" ? "key-type" : "request";
    const hint = "make a PKCS#10 request in PEM or DER with a P-256, P-384 or Ed25519 key";
    throw new RequestRefused(check, refusedRequest(error.message, hint));
  }
}

/** Throws the refusal of the first check that a request fails. */
export function checkRequest(requested: Requested): void {
  for (const [name, check] of Object.entries(requestChecks)) {
    const refusal = check(requested);
    if (refusal !== undefined) throw new RequestRefused(name, refusal);
  }
}

/** A certificate request was refused; `check` names the rule. */
export class RequestRefused extends Failure {
  readonly check: string;

  constructor(check: string, { code, why, hint }: Refusal) {
    super(code, why, { hint });
    this.check = check;
  }
}

function refusedRequest(why: string, hint: string): Refusal {
  return {
    code: "ERR_CERTIFICATE_REQUEST",
    why: `the certificate request is refused: ${why}`,
    hint,
  };
}

/** BasicConstraints holds the octet of TRUE when it says CA; bits 5 and 6 of KeyUsage sign certificates and CRLs. */
function asksToBeCa({ oid, value }: Extension): boolean {
  if (oid === extensionOids.basicConstraints) return value.includes(0xff);
  if (oid === extensionOids.keyUsage) return ((value[3] ?? 0) & 0x06) !== 0;
  return oid === extensionOids.nameConstraints;
}

/** The value counts; whether the requester marks it critical does not. */
function isSameExtension(asked: Extension, given: Extension): boolean {
  return sameBytes(
    encodeExtension({ ...asked, critical: false }),
    encodeExtension({ ...given, critical: false }),
  );
}

let mlDsa: boolean | undefined;

/** Node 24 has ML-DSA (RFC 9881); Bun has not. */
export function hasMlDsa(): boolean {
  if (mlDsa !== undefined) return mlDsa;
  try {
    generateKeyPairSync("ml-dsa-44");
    mlDsa = true;
  } catch {
    mlDsa = false;
  }
  return mlDsa;
}
