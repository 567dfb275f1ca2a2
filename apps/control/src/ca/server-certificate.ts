import type { SecurityEvent } from "@wardmq/events";
import {
  type Certificate,
  certificate,
  decodeCertificate,
  encodeName,
  hostGeneralName,
  serverCommonName,
} from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { Authority } from "./authority.ts";
import {
  caIdOf,
  certificatePem,
  fieldsOf,
  type Issuer,
  randomSerialNumber,
  sha256Hex,
} from "./certificate-authority.ts";
import { checkRequest, decodeRequest, RequestRefused } from "./request-checks.ts";
import { registrySerialNumber } from "./revocation-lists.ts";
import type { ServerCertificates } from "./server-certificates.ts";

/** Who signs server certificates, and what stands behind the issuing CA in their path. */
export type ServerIssuer = Pick<Authority, "issuer" | "cross">;

/** What signing for brokers acts on. */
export interface ServerIssuing {
  readonly registry: Registry;
  readonly authority: () => Pick<Authority, "issuer" | "cross" | "ownKeys">;
  readonly servers: ServerCertificates;
  readonly hosts: () => readonly string[];
  /** Whether a broker may have one more now. */
  readonly isAllowed: () => boolean;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

/**
 * Signs a certificate for the key of a broker's PKCS#10 request (DER), with every host as a name:
 *
 *     read the request -> write the fields -> check the request and its key -> record the intent -> sign -> keep it
 *
 * Of the request only the key is taken, so that a broker gets a server certificate for the hosts of the settings, and
 * nothing else: none of a device, none of a CA, no other name. Gives PEM, the certificate and its path.
 */
export async function signForBroker(
  on: ServerIssuing,
  request: Uint8Array,
  doing: Doing,
): Promise<string> {
  try {
    return await signChecked(on, request, doing);
  } catch (error) {
    if (error instanceof Failure) {
      const check = error instanceof RequestRefused ? error.check : "server-key";
      const details = { actor: doing.actor };
      on.record({ type: "certificate-refused", check, why: error.message, details });
    }
    throw error;
  }
}

async function signChecked(
  { registry, authority, servers, hosts, isAllowed, record }: ServerIssuing,
  asked: Uint8Array,
  doing: Doing,
): Promise<string> {
  const { issuer, cross, ownKeys } = authority();
  const request = decodeRequest(asked);
  refuseOtherKeys(request.key.type);
  const fields = serverFields(issuer, request.publicKey, hosts(), doing.at);
  const publicKeyHash = sha256Hex(request.publicKey);
  const isOwn = { has: (hash: string) => ownKeys.has(hash) || servers.hasKey(hash) };
  checkRequest({ request, publicKeyHash, extensions: fields.extensions, ownKeys: isOwn });
  registry.refuseUsedKey(publicKeyHash, undefined);
  if (!isAllowed()) {
    throw new Failure("ERR_CERTIFICATE_REQUEST", "brokers asked for too many certificates", {
      hint: "look why a broker makes one key after the other",
    });
  }
  const serialNumber = registrySerialNumber(fields.serialNumber);
  registry.recordChange("server-certificate.intent", doing, { serialNumber, publicKeyHash });
  const issued = decodeCertificate(await certificate(fields, issuer.signer));
  servers.add(issued, doing.at);
  record({
    type: "certificate-issued",
    certificate: {
      subject: serverCommonName,
      issuer: caIdOf(issuer.certificate),
      serialNumber,
      fingerprint: sha256Hex(issued.der),
    },
    details: { actor: doing.actor },
  });
  return pathOf(issued, { issuer, cross });
}

/** Signs a certificate for a key of control itself, with every host as a name, and its path up to the root. */
export async function issueServerCertificate(
  by: ServerIssuer,
  publicKey: Uint8Array,
  hosts: readonly string[],
  now: number,
): Promise<string> {
  const fields = serverFields(by.issuer, publicKey, hosts, now);
  return pathOf(decodeCertificate(await certificate(fields, by.issuer.signer)), by);
}

function serverFields(
  issuer: Issuer,
  publicKey: Uint8Array,
  hosts: readonly string[],
  now: number,
) {
  return fieldsOf(issuer, {
    profile: "server",
    subject: encodeName({ commonName: serverCommonName }),
    subjectAltName: hosts.map(hostGeneralName),
    publicKey,
    serialNumber: randomSerialNumber(),
    now,
  });
}

function pathOf(issued: Certificate, { issuer, cross }: ServerIssuer): string {
  return [issued, issuer.certificate, ...cross].map(certificatePem).join("");
}

/** Every TLS client knows these two curves; with Ed25519 or ML-DSA most devices could not come in any more. */
function refuseOtherKeys(type: string): void {
  if (type === "P-256" || type === "P-384") return;
  throw new RequestRefused("key-type", {
    code: "ERR_CERTIFICATE_REQUEST",
    why: `a server certificate for a key of the kind ${type} is refused`,
    hint: "make a P-256 or P-384 key",
  });
}
