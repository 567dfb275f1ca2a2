import { createPublicKey, verify } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ForeignCaSummary } from "@wardmq/commands";
import { printable, type SecurityEvent } from "@wardmq/events";
import type { ForeignCa, SubjectRecord } from "@wardmq/feed";
import { replaceFile, syncFolder } from "@wardmq/keys";
import {
  allowsKeyUsage,
  basicConstraintsOf,
  type Certificate,
  decodeCertificate,
  decodePem,
  isAcceptedForeignKey,
  type MappingRule,
  readForeignCertificate,
  sameBytes,
  serialNumberHex,
  verifyingHashOf,
  X509Error,
} from "@wardmq/x509";
import type { Authority } from "../ca/authority.ts";
import { certificatePem, sha256Hex } from "../ca/certificate-authority.ts";
import { registrySerialNumber } from "../ca/revocation-lists.ts";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";
import type { Registry } from "../registry/registry.ts";
import type { DeviceOrService, RegisteredSubject, RegistryChange } from "../registry/rows.ts";
import { CrlWatch, type CrlWatchParts, crlSummary } from "./crl-watch.ts";

/** What an operator says of a foreign CA. */
export interface NewForeignCa {
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  readonly site?: string;
  readonly mapping: MappingRule;
  /** An absolute path, or an address. */
  readonly crl: string;
}

/** What the file of one holds. */
interface Kept extends NewForeignCa {
  /** Serial numbers (lower-case hex) of certificates that the registry would not bind. */
  readonly refused: readonly string[];
}

interface Known {
  readonly kept: Kept;
  readonly certificate: Certificate;
}

export interface ForeignCasParts {
  /** Where what is known of them lies. */
  readonly folder: string;
  readonly registry: Registry;
  readonly authority: () => Authority;
  readonly now: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** Brokers have to be told. */
  readonly changed: (change: RegistryChange) => void;
  readonly read?: CrlWatchParts["read"];
}

/** Their anchors are in every handshake. */
const mostCas = 16;

/** The CAs of device fleets that were there before us: whom they are for, and their CRLs. Brokers judge by what is told. */
export class ForeignCas {
  readonly #parts: ForeignCasParts;
  readonly #watch: CrlWatch;
  readonly #known = new Map<string, Known>();

  constructor(parts: ForeignCasParts) {
    this.#parts = parts;
    const { folder, now, record, read } = parts;
    this.#watch = new CrlWatch({
      kind: "foreign CA",
      pathOf: (name) => join(folder, `${name}.crl`),
      now,
      record,
      changed: () => parts.changed({ foreignCas: this.told() }),
      ...(read === undefined ? {} : { read }),
    });
    for (const kept of readKept(folder)) this.#hold(kept);
  }

  /** Takes one, when its CRL can be read. */
  async add(wanted: NewForeignCa): Promise<ForeignCaSummary> {
    const { name, crl } = wanted;
    if (this.#known.has(name)) throw refused(`there is a foreign CA ${name}`, "remove it first");
    if (this.#known.size >= mostCas) throw refused(`there are ${mostCas} foreign CAs`);
    const certificate = this.#checked(wanted.certificate);
    const kept: Kept = { ...wanted, certificate: certificatePem(certificate), refused: [] };
    await this.#watch.begin({ name, ca: certificate, source: crl });
    this.#write(kept);
    this.#known.set(name, { kept, certificate });
    this.#parts.changed({ foreignCas: this.told(), subjects: this.#covered(kept) });
    return this.show(name);
  }

  remove(name: string): { readonly removed: ForeignCaSummary; readonly change: RegistryChange } {
    const removed = this.show(name);
    const { kept } = this.#existing(name);
    const covered = this.#covered(kept);
    this.#forget(name);
    return { removed, change: { foreignCas: this.told(), subjects: covered } };
  }

  list(): readonly ForeignCaSummary[] {
    return [...this.#known.keys()].sort().map((name) => this.show(name));
  }

  show(name: string): ForeignCaSummary {
    const { kept, certificate } = this.#existing(name);
    const { registry } = this.#parts;
    const id = caIdOfForeign(certificate);
    const devices = registry
      .subjects()
      .filter(({ certificates }) =>
        certificates.some(({ issuer, state }) => issuer === id && state === "active"),
      );
    return {
      name,
      ca: id,
      fingerprint: sha256Hex(certificate.der),
      notAfter: certificate.validity.notAfter,
      ...(kept.site === undefined ? {} : { site: kept.site }),
      mapping: kept.mapping,
      devices: devices.length,
      crl: crlSummary(kept.crl, this.#watch.status(name)),
    };
  }

  /** Reads the CRL of one now, for the caller to tell brokers of; that it can not be taken is a refusal. */
  async refresh(name: string): Promise<void> {
    this.#existing(name);
    const { failure } = await this.#watch.refresh(name);
    if (failure === undefined) return;
    throw new Failure("ERR_CRL", `the CRL of ${name} was not taken: ${failure}`, {
      hint: "the one from before counts until its nextUpdate",
    });
  }

  /** Reads what is due: called every few seconds. */
  look(): Promise<void> {
    return this.#watch.look();
  }

  /** What brokers have to know. */
  told(): readonly ForeignCa[] {
    return [...this.#known.values()].map(({ kept }) => {
      const { name, certificate, site, mapping, refused } = kept;
      const { list } = this.#watch.status(name);
      return {
        name,
        certificate,
        ...(site === undefined ? {} : { site }),
        mapping,
        freshUntil: list?.nextUpdate ?? 0,
        revoked: [...new Set([...(list?.revokedSerialNumbers ?? []), ...refused])],
      };
    });
  }

  /**
   * A record as brokers have it: where a foreign CA vouches for the device, it needs no certificate of ours to be active,
   * and what its maker says of it is told where it is found by that.
   */
  recordForBrokers(record: SubjectRecord, { details }: RegisteredSubject): SubjectRecord {
    if (record.kind !== "device" || this.#known.size === 0) return record;
    const all = [...this.#known.values()].map(({ kept }) => kept);
    const { maker, serial } = details;
    const isVouchedFor = all.some((kept) => covers(kept, record.attributes, details));
    const isFound = all.some(({ mapping }) => "maker" in mapping && mapping.maker === maker);
    return {
      ...record,
      state: record.state === "registered" && isVouchedFor ? "active" : record.state,
      ...(isFound && maker !== undefined && serial !== undefined
        ? { origin: { maker, serial } }
        : {}),
    };
  }

  /**
   * A broker let somebody in with a certificate (DER) that no record knows: looks at it again, and binds it, so that it
   * is revoked with its record and never comes back. One that can not be bound is refused by serial number from here on.
   */
  adopt(der: Uint8Array): void {
    const { registry, now, record, changed } = this.#parts;
    const found = this.#signerOf(der);
    if (found === undefined) return; // the CA went meanwhile
    const { certificate, known } = found;
    const { kept } = known;
    const fingerprint = sha256Hex(der);
    if (registry.holderOf(fingerprint) !== undefined) return;
    const serialNumber = registrySerialNumber(certificate.serialNumber);
    const at = now();
    try {
      const subject = this.#deviceOf(certificate, fingerprint, known, at);
      const bound = registry.recordCertificate(
        {
          subject,
          fingerprint,
          serialNumber,
          issuer: caIdOfForeign(known.certificate),
          foreignCa: kept.name,
          publicKeyHash: sha256Hex(certificate.publicKey),
          ...certificate.validity,
          der,
        },
        { actor: `${subject} with a certificate of ${kept.name}`, at },
      );
      record({ type: "certificate-adopted", subject, details: { ca: kept.name, serialNumber } });
      changed({ subjects: [bound] });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const check = error.code.replace(/^ERR_/, "").toLowerCase().replaceAll("_", "-");
      const details = { ca: kept.name, serialNumber };
      record({ type: "certificate-refused", check, why: error.message, details });
      // What maps to nobody now is refused by brokers too, and may map to somebody tomorrow.
      if (error.code === "ERR_FOREIGN_CERTIFICATE") return;
      const refused = [...kept.refused, serialNumberHex(certificate.serialNumber)];
      this.#write({ ...kept, refused });
      this.#known.set(kept.name, { ...known, kept: { ...kept, refused } });
      changed({ foreignCas: this.told() });
    }
  }

  #signerOf(der: Uint8Array) {
    const certificate = decodeOrNothing(der);
    if (certificate === undefined) return undefined;
    const known = [...this.#known.values()].find((one) => hasSigned(one.certificate, certificate));
    return known && { certificate, known };
  }

  /** The id of the device that a certificate is for; a Failure says why there is none. */
  #deviceOf(certificate: Certificate, fingerprint: string, { kept }: Known, now: number): string {
    const { registry } = this.#parts;
    const { name, mapping, site } = kept;
    const read = readForeignCertificate(certificate, fingerprint, mapping, registry.identity);
    if ("check" in read) throw new Failure("ERR_FOREIGN_CERTIFICATE", read.why);
    const { notBefore, notAfter } = certificate.validity;
    if (notBefore > now || notAfter < now) {
      throw new Failure("ERR_FOREIGN_CERTIFICATE", "it is not in its time");
    }
    const why = this.#watch.refuses(name, serialNumberHex(certificate.serialNumber));
    if (why !== undefined)
      throw new Failure("ERR_FOREIGN_CERTIFICATE", `it is ${why} by the CRL of ${name}`);
    const one =
      mapping.equals === "uuid"
        ? registry.subject(`device:${read.value}`)
        : registry.deviceOfMaker(mapping.maker, read.value);
    if (one === undefined || (site !== undefined && one.attributes["site"] !== site)) {
      throw new Failure(
        "ERR_FOREIGN_CERTIFICATE",
        "it maps to no device that the CA is trusted for",
      );
    }
    return one.id;
  }

  /** The certificate of a CA that may be trusted: a CA, with keys we accept, in its time, and told apart from all others. */
  #checked(pem: string): Certificate {
    const certificate = decodeAuthority(pem);
    const { subject, publicKey, validity } = certificate;
    const now = this.#parts.now();
    if (validity.notBefore > now || validity.notAfter < now) throw refused("it is not in its time");
    const { issuers, roots, ownKeys } = this.#parts.authority();
    const own = [
      ...issuers,
      ...roots.map((root) => decodeCertificate(decodePem("CERTIFICATE", root))),
    ];
    const all = [...own, ...[...this.#known.values()].map((one) => one.certificate)];
    const isTwin = (other: Certificate) =>
      sameBytes(other.subject, subject) || sameBytes(other.publicKey, publicKey);
    if (all.some(isTwin) || ownKeys.has(sha256Hex(publicKey))) {
      throw refused("it has the name or the key of a CA that is trusted already");
    }
    return certificate;
  }

  /** Those of whom brokers are told otherwise because of this one. */
  #covered({ site: _, ...kept }: Kept): readonly DeviceOrService[] {
    return this.#parts.registry
      .subjects()
      .filter(
        ({ kind, attributes, details }) => kind === "device" && covers(kept, attributes, details),
      );
  }

  #hold(kept: Kept): void {
    const certificate = decodeAuthority(kept.certificate);
    this.#known.set(kept.name, { kept, certificate });
    this.#watch.follow({ name: kept.name, ca: certificate, source: kept.crl });
  }

  #forget(name: string): void {
    this.#known.delete(name);
    this.#watch.forget(name);
    rmSync(this.#pathOf(name), { force: true });
    syncFolder(this.#parts.folder);
  }

  #existing(name: string): Known {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    throw new Failure("ERR_FOREIGN_CA_UNKNOWN", `there is no foreign CA ${printable(name, 80)}`, {
      hint: "wardmq foreign-ca list DIR shows those there are",
    });
  }

  #pathOf(name: string): string {
    return join(this.#parts.folder, `${name}.json`);
  }

  #write(kept: Kept): void {
    mkdirSync(this.#parts.folder, { recursive: true, mode: 0o700 });
    replaceFile(this.#pathOf(kept.name), `${JSON.stringify(kept, undefined, 2)}\n`, 0o600);
  }
}

/** The name of a foreign CA where our own go by their key identifier: it may have none. */
function caIdOfForeign({ publicKey }: Certificate): string {
  return sha256Hex(publicKey).slice(0, 40);
}

function covers(
  { site, mapping }: Kept,
  attributes: SubjectRecord["attributes"],
  details: RegisteredSubject["details"],
): boolean {
  if (site !== undefined && attributes["site"] !== site) return false;
  return (
    mapping.equals === "uuid" || (details.maker === mapping.maker && details.serial !== undefined)
  );
}

function readKept(folder: string): readonly Kept[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .sort()
    .map((file) => {
      // INVARIANT: nobody but us writes the files.
      return JSON.parse(readText(join(folder, file))) as Kept;
    });
}

const refused = (why: string, hint = "ask the fleet's PKI for the CA that signs its devices") =>
  new Failure("ERR_FOREIGN_CA", why, { hint });

/** One certificate in PEM of a CA that may sign certificates and CRLs, with a key we accept. */
export function decodeAuthority(pem: string): Certificate {
  let certificate: Certificate;
  try {
    certificate = decodeCertificate(decodePem("CERTIFICATE", pem));
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    throw refused("what was given is not one certificate in PEM");
  }
  const { extensions, publicKey } = certificate;
  const mays = ["keyCertSign", "cRLSign"] as const;
  if (!basicConstraintsOf(extensions).ca || !mays.every((may) => allowsKeyUsage(extensions, may))) {
    throw refused("it is no CA that may sign certificates and CRLs (basicConstraints, keyUsage)");
  }
  if (!isAcceptedForeignKey(publicKey)) {
    throw refused(
      "its key is neither P-256, P-384, Ed25519 or ML-DSA nor RSA with 2048 to 8192 bits",
    );
  }
  return certificate;
}

function decodeOrNothing(der: Uint8Array): Certificate | undefined {
  try {
    return decodeCertificate(der);
  } catch (error) {
    if (error instanceof X509Error) return undefined;
    throw error;
  }
}

/** Whether a CA, of whatever algorithm we accept, has signed a certificate. */
export function hasSigned(ca: Certificate, { issuer, ...signed }: Certificate): boolean {
  const hash = verifyingHashOf(signed.signatureIdentifier);
  if (hash === undefined || !sameBytes(issuer, ca.subject)) return false;
  try {
    const key = createPublicKey({ key: Buffer.from(ca.publicKey), format: "der", type: "spki" });
    return verify(hash, signed.tbsCertificate, key, signed.signature);
  } catch {
    return false;
  }
}
