import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { replaceFile } from "@wardmq/keys";
import {
  certificateList,
  decodeCertificateList,
  type RevocationReason,
  serialNumberHex,
} from "@wardmq/x509";
import { crlPath } from "../deployment.ts";
import type { Registry } from "../registry/registry.ts";
import { caIdOf, type Issuer } from "./certificate-authority.ts";

export interface RevocationList {
  readonly caId: string;
  readonly der: Uint8Array;
  readonly crlNumber: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  readonly revoked: number;
}

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;
/** A CRL is good for a day and comes every hour: a web server may lose it for 22 hours. */
const lifetimeMs = dayMs;
/** An expired certificate stays for one CRL more (RFC 5280 section 3.3). */
const keptAfterExpiryMs = dayMs;

/**
 * The CRL of one CA over everything that is revoked now, in its file and returned. Number and thisUpdate grow with
 * every one of them, whatever the clock says: of two lists of one time TLS libraries take either.
 */
export async function publishRevocationList(
  issuer: Issuer,
  registry: Pick<Registry, "revokedCertificates">,
  now: number,
): Promise<RevocationList> {
  const caId = caIdOf(issuer.certificate);
  const revoked = registry.revokedCertificates(caId, now - keptAfterExpiryMs);
  return writeRevocationList(
    issuer,
    "userCertificates",
    revoked.map(({ serialNumber, revokedAt, state }) => ({
      serialNumber: new Uint8Array(Buffer.from(serialNumber, "hex")),
      revocationDate: revokedAt,
      reason: reasonOf(state),
    })),
    now,
    now + lifetimeMs,
  );
}

/** Why a certificate counts no more, as CRLs and OCSP say it. */
export function reasonOf(state: "revoked" | "superseded"): RevocationReason {
  return state === "superseded" ? "superseded" : "unspecified";
}

/** Signs and writes a CRL that follows the one in the file, if there is one. */
export async function writeRevocationList(
  issuer: Issuer,
  scope: Parameters<typeof certificateList>[0]["scope"],
  revoked: Parameters<typeof certificateList>[0]["revoked"],
  now: number,
  nextUpdate: number,
): Promise<RevocationList> {
  const caId = caIdOf(issuer.certificate);
  const former = readRevocationList(caId);
  const thisUpdate = Math.max(secondOf(now), (former?.thisUpdate ?? 0) + 1000);
  const crlNumber = (former?.crlNumber ?? 0) + 1;
  const fields = {
    issuer: issuer.certificate.subject,
    authorityKeyIdentifier: new Uint8Array(Buffer.from(caId, "hex")),
    crlNumber,
    thisUpdate,
    nextUpdate: secondOf(nextUpdate),
    scope,
    revoked,
  };
  const der = await certificateList(fields, issuer.signer);
  const path = crlPath(caId);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  replaceFile(path, der, 0o600);
  return {
    caId,
    der,
    crlNumber,
    thisUpdate,
    nextUpdate: fields.nextUpdate,
    revoked: revoked.length,
  };
}

/** The CRL of a CA that was written last, or nothing: one that can not be read is made anew. */
export function readRevocationList(caId: string): RevocationList | undefined {
  const path = crlPath(caId);
  if (!existsSync(path)) return undefined;
  try {
    return summaryOf(caId, new Uint8Array(readFileSync(path)));
  } catch {
    return undefined;
  }
}

function summaryOf(caId: string, der: Uint8Array): RevocationList {
  const {
    crlNumber = 0,
    thisUpdate,
    nextUpdate,
    revokedSerialNumbers,
  } = decodeCertificateList(der);
  return { caId, der, crlNumber, thisUpdate, nextUpdate, revoked: revokedSerialNumbers.length };
}

const secondOf = (milliseconds: number) => Math.floor(milliseconds / 1000) * 1000;

/** Keeps the CRLs of the CAs that sign fresh: at the start, every hour, and soon after each revocation. */
export class RevocationLists {
  readonly #issuers: () => readonly Issuer[];
  readonly #registry: Registry;
  readonly #now: () => number;
  readonly #failed: (error: unknown) => void;
  #lists = new Map<string, RevocationList>();
  #last: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: {
    readonly issuers: () => readonly Issuer[];
    readonly registry: Registry;
    readonly now: () => number;
    readonly failed: (error: unknown) => void;
  }) {
    this.#issuers = parts.issuers;
    this.#registry = parts.registry;
    this.#now = parts.now;
    this.#failed = parts.failed;
  }

  /** The newest CRL of a CA, in DER. */
  of(caId: string): RevocationList | undefined {
    return this.#lists.get(caId) ?? (isCaId(caId) ? readRevocationList(caId) : undefined);
  }

  /** Publishes all of them; one after the other. */
  publish(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#last = this.#last.then(async () => {
      for (const issuer of this.#issuers()) {
        const list = await publishRevocationList(issuer, this.#registry, this.#now());
        this.#lists.set(list.caId, list);
      }
    });
    return this.#last;
  }

  /** Something was revoked: a CRL within a second or two, one for all that comes in between. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.publish().catch(this.#failed), 1_000);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/** Whether a text may be the id of a CA: it becomes a part of a path. */
export function isCaId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The serial numbers in the form that the registry has, from those of a CRL or an OCSP request. */
export function registrySerialNumber(magnitude: Uint8Array): string {
  return serialNumberHex(magnitude).toUpperCase();
}
