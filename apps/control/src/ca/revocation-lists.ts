import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  type CertificateListFields,
  certificateList,
  decodeCertificateListTimes,
  encodeRevoked,
  type RevocationReason,
  type RevokedCertificate,
  serialNumberHex,
} from "@wardmq/x509";
import { crlPath } from "../deployment.ts";
import { replaceLargeFile } from "../files.ts";
import type { Registry, RevokedRow } from "../registry/registry.ts";
import { caIdOf, type Issuer } from "./certificate-authority.ts";
import type { RevokedCa } from "./revoked-cas.ts";

export interface RevocationList {
  readonly caId: string;
  readonly der: Uint8Array;
  readonly crlNumber: number;
  readonly thisUpdate: number;
  readonly nextUpdate: number;
}

export interface PublishedList extends RevocationList {
  /** How many certificates it lists. */
  readonly revoked: number;
}

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;
/** A CRL is good for a day and comes every hour: a web server may lose it for 22 hours. */
const lifetimeMs = dayMs;
/** That of a root comes when somebody brings its key: twice a year. */
const rootLifetimeMs = 180 * dayMs;
/** An expired certificate stays for one CRL more (RFC 5280 section 3.3). */
const keptAfterExpiryMs = dayMs;
/** What is encoded in a few milliseconds. */
const entriesInTurn = 5_000;

/**
 * The CRL of one CA over everything that is revoked now, in its file and returned. Number and thisUpdate grow with
 * every one of them, whatever the clock says: of two lists of one time TLS libraries take either. nextUpdate never goes
 * back, so that one which comes while a CA is retired does not undo its last one.
 */
export function publishRevocationList(
  issuer: Issuer,
  registry: Pick<Registry, "revokedCertificates">,
  now: number,
  former = readRevocationList(caIdOf(issuer.certificate)),
  nextUpdate = Math.max(now + lifetimeMs, former?.nextUpdate ?? 0),
): Promise<PublishedList> {
  const revoked = registry.revokedCertificates(caIdOf(issuer.certificate), now - keptAfterExpiryMs);
  const entryOf = ({ serialNumber, revokedAt, state }: RevokedRow) => ({
    serialNumber,
    revocationDate: revokedAt,
    reason: reasonOf(state),
  });
  const fields = { scope: "userCertificates", nextUpdate, former } as const;
  return writeRevocationList(issuer, revoked, entryOf, now, fields);
}

function entryOfCa({ serialNumber, revokedAt }: RevokedCa): RevokedCertificate {
  return { serialNumber, revocationDate: revokedAt, reason: "unspecified" };
}

/** Why a certificate counts no more, as CRLs and OCSP say it. */
export function reasonOf(state: "revoked" | "superseded"): RevocationReason {
  return state === "superseded" ? "superseded" : "unspecified";
}

/** Signs and writes a CRL that follows the former one, if there is one. */
async function writeRevocationList<Row>(
  issuer: Issuer,
  rows: readonly Row[],
  entryOf: (row: Row) => RevokedCertificate,
  now: number,
  {
    scope,
    nextUpdate,
    former,
  }: Pick<CertificateListFields, "scope" | "nextUpdate"> & {
    readonly former: RevocationList | undefined;
  },
): Promise<PublishedList> {
  const caId = caIdOf(issuer.certificate);
  const revoked: Uint8Array[] = [];
  for (let at = 0; at < rows.length; at += entriesInTurn) {
    revoked.push(encodeRevoked(rows.slice(at, at + entriesInTurn).map(entryOf)));
    await nextTurn();
  }
  const thisUpdate = Math.max(secondOf(now), (former?.thisUpdate ?? 0) + 1000);
  const fields = {
    issuer: issuer.certificate.subject,
    authorityKeyIdentifier: new Uint8Array(Buffer.from(caId, "hex")),
    // The first is the second it is made in: one list a second at most, so a file that is lost takes no number back.
    crlNumber: former === undefined ? thisUpdate / 1000 : former.crlNumber + 1,
    thisUpdate,
    nextUpdate: secondOf(nextUpdate),
    scope,
    revoked,
  };
  const der = await certificateList(fields, issuer.signer);
  const path = crlPath(caId);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  await replaceLargeFile(path, der, 0o600);
  const { crlNumber } = fields;
  return { caId, der, crlNumber, thisUpdate, nextUpdate: fields.nextUpdate, revoked: rows.length };
}

/** The CRL of a CA that was written last, or nothing: one that can not be read is made anew. */
export function readRevocationList(caId: string): RevocationList | undefined {
  const path = crlPath(caId);
  if (!existsSync(path)) return undefined;
  try {
    const der = new Uint8Array(readFileSync(path));
    const { crlNumber = 0, ...times } = decodeCertificateListTimes(der);
    return { caId, der, crlNumber, ...times };
  } catch {
    return undefined;
  }
}

const secondOf = (milliseconds: number) => Math.floor(milliseconds / 1000) * 1000;

/** Keeps the CRLs of the CAs that sign fresh: at the start, every hour, and soon after each revocation and new CA. */
export class RevocationLists {
  readonly #issuers: () => readonly Issuer[];
  readonly #registry: Registry;
  readonly #now: () => number;
  readonly #failed: (error: unknown) => void;
  #lists = new Map<string, RevocationList>();
  #last: Promise<unknown> = Promise.resolve();
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

  /** The newest CRL of a CA, in DER; of a root and of a CA that is gone, the one in its file. */
  of(caId: string): RevocationList | undefined {
    const list = this.#lists.get(caId) ?? (isCaId(caId) ? readRevocationList(caId) : undefined);
    if (list !== undefined) this.#lists.set(caId, list);
    return list;
  }

  /** Publishes all of them; one after the other. */
  publish(): Promise<readonly PublishedList[]> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#inTurn(() => this.#publishAll());
  }

  /**
   * The last CRL of a CA, before its key is destroyed. It is good for a day longer than the CA and so than everything
   * that the CA has signed: nobody can sign another (RFC 5280 section 5.1.2.5 wants the next by nextUpdate).
   */
  publishLast(issuer: Issuer): Promise<PublishedList> {
    const { certificate } = issuer;
    return this.#inTurn(async () => {
      const nextUpdate = certificate.validity.notAfter + dayMs;
      const former = this.of(caIdOf(certificate));
      return this.#keep(
        await publishRevocationList(issuer, this.#registry, this.#now(), former, nextUpdate),
      );
    });
  }

  /** The CRL of a root over these of its CAs. One that has expired stays until a CRL has listed it after that (RFC 5280 section 3.3). */
  publishOfRoot(root: Issuer, revoked: readonly RevokedCa[]): Promise<PublishedList> {
    return this.#inTurn(async () => {
      const caId = caIdOf(root.certificate);
      const now = this.#now();
      const former = this.of(caId);
      const rows = revoked.filter(
        ({ issuer, notAfter }) => issuer === caId && notAfter >= (former?.thisUpdate ?? now),
      );
      const fields = {
        scope: "caCertificates",
        nextUpdate: now + rootLifetimeMs,
        former,
      } as const;
      return this.#keep(await writeRevocationList(root, rows, entryOfCa, now, fields));
    });
  }

  #inTurn<Published>(publish: () => Promise<Published>): Promise<Published> {
    const published = this.#last.then(publish);
    this.#last = published.catch(() => {}); // whoever asked hears of it, and the next try is another
    return published;
  }

  #keep(list: PublishedList): PublishedList {
    this.#lists.set(list.caId, list);
    return list;
  }

  async #publishAll(): Promise<readonly PublishedList[]> {
    const published: PublishedList[] = [];
    for (const issuer of this.#issuers()) {
      const former = this.of(caIdOf(issuer.certificate));
      const list = await publishRevocationList(issuer, this.#registry, this.#now(), former);
      published.push(this.#keep(list));
    }
    return published;
  }

  /** Something was revoked, or there is a new CA: a CRL within a second or two, one for all that comes in between. */
  changed(): void {
    this.#timer ??= setTimeout(() => this.publish().catch(this.#failed), 1_000);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}

/** Whether a text may be the id of a CA: it becomes a part of a path. */
function isCaId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The serial numbers in the form that the registry has, from those of a CRL or an OCSP request. */
export function registrySerialNumber(magnitude: Uint8Array): string {
  return serialNumberHex(magnitude).toUpperCase();
}
