import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import { certificateRequest } from "@wardmq/x509";
import { readDescriptor } from "../descriptor.ts";
import { Failure, systemCode } from "../failure.ts";
import { type Checked, checkIssued, isRoot } from "./check.ts";
import { holdsCredential, stageKey } from "./device-folder.ts";
import { type KeyStore, makeKey, openKey } from "./device-key.ts";
import {
  type CertificateProof,
  caCertificates,
  type EstServer,
  enrolAt,
  type Proof,
} from "./est-client.ts";

export interface Enrolled {
  readonly spiffeId: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly renewFrom: number;
  /** Former keys that could not be destroyed, a sentence for each. */
  readonly left: readonly string[];
}

/** The first certificate of a device: a new key in the folder `out`, certified for a code or a maker's certificate. */
export async function enrol(
  server: EstServer,
  proof: () => Proof,
  {
    id,
    out,
    force,
    store,
  }: {
    readonly id?: string;
    readonly out: string;
    readonly force: boolean;
    readonly store: KeyStore;
  },
): Promise<Enrolled> {
  if (!force && holdsCredential(out)) {
    const hint = "--renew renews it, --force puts another in its place";
    throw new Failure(1, `${printable(out)} holds a credential already`, hint);
  }
  return obtain(server, "simpleenroll", proof(), { out, store, id });
}

/** The next certificate, for a new key; undefined while it is not yet time, unless it is wanted now. */
export async function renew(
  url: URL,
  {
    ca,
    out,
    force,
    store: wanted,
  }: {
    readonly ca?: string;
    readonly out: string;
    readonly force: boolean;
    readonly store?: KeyStore;
  },
): Promise<Enrolled | { readonly renewFrom: number }> {
  const certificate = certificateIn(readText(join(out, "cert.pem")), join(out, "cert.pem"));
  const now = Date.now();
  if (Date.parse(certificate.validTo) < now) {
    throw new Failure(
      1,
      `the certificate in ${printable(out)} expired on ${certificate.validTo}`,
      "enrol again, with --force and a new code or the maker's certificate",
    );
  }
  const renewFrom = renewalOf(certificate);
  if (!force && now < renewFrom) return { renewFrom };
  const spiffeId = /^URI:(\S+)$/.exec(certificate.subjectAltName ?? "")?.[1];
  const server = { url, ca: ca ?? readText(join(out, "ca.pem")) };
  const { store, ...proof } = readCredential(out);
  return obtain(server, "simplereenroll", proof, { out, store: wanted ?? store, spiffeId });
}

/** What a device's folder holds, or that of its maker: key.pem and cert.pem. */
export function readCredential(folder: string): CertificateProof & { readonly store: KeyStore } {
  const certificatePath = join(folder, "cert.pem");
  const cert = readText(certificatePath);
  const { tls, store } = openKey(join(folder, "key.pem"));
  if ("pem" in tls) return { store, key: tls.pem, cert };
  return { store, hardware: tls, certificatePath };
}

/** The text of a file, by its path or an open descriptor. */
export function readText(path: string | number): string {
  try {
    return typeof path === "number"
      ? readDescriptor(path).toString("utf8")
      : readFileSync(path, "utf8");
  } catch (error) {
    const why = systemCode(error) ?? "unreadable";
    const what = typeof path === "number" ? `file descriptor ${path}` : printable(path);
    throw new Failure(2, `cannot read ${what}: ${why}`, "name what you can read");
  }
}

async function obtain(
  server: EstServer,
  operation: "simpleenroll" | "simplereenroll",
  proof: Proof,
  {
    out,
    store,
    ...wanted
  }: { out: string; store: KeyStore; id?: string | undefined; spiffeId?: string | undefined },
): Promise<Enrolled> {
  const authorities = await caCertificates(server); // before a code is used up
  const staged = stageKey(out, makeKey(store));
  try {
    const { publicKey, sign } = openKey(staged.keyPath).signer;
    const request = await certificateRequest(publicKey, sign);
    const issued = await enrolAt(server, operation, proof, request);
    const checked = checkIssued(issued, { ...wanted, publicKey, authorities, now: Date.now() });
    const left = staged.install(pemOf(checked.path), pemOf(authorities.filter(isRoot)));
    return { ...enrolled(issued, checked), left };
  } catch (error) {
    staged.discard();
    throw error;
  }
}

function enrolled(issued: X509Certificate, { spiffeId }: Checked) {
  return { spiffeId, notAfter: Date.parse(issued.validTo), renewFrom: renewalOf(issued) };
}

/** When two thirds of its life are over, and up to a tenth later: always the same moment for one certificate. */
function renewalOf({ validFrom, validTo, raw }: X509Certificate): number {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  const jitter = createHash("sha256").update(raw).digest().readUInt32BE() / 2 ** 32;
  return Math.floor(from + (to - from) * (2 / 3 + jitter / 10));
}

function certificateIn(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Failure(2, `${printable(path)} holds no certificate`, "enrol again, with --force");
  }
}

function pemOf(certificates: readonly X509Certificate[]): string {
  return certificates.map((one) => `${one.toString().trimEnd()}\n`).join("");
}
