import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Manufacturer } from "@wardmq/commands";
import { replaceFile, syncFolder } from "@wardmq/keys";
import { fingerprintOf } from "@wardmq/tls";
import { decodeCertificate, serialNumberHex } from "@wardmq/x509";
import { Failure, systemCode } from "../failure.ts";
import { readText } from "../files.ts";
import type { CrlSource } from "../foreign/crl-source.ts";
import { CrlWatch, type CrlWatchParts, crlSummary } from "../foreign/crl-watch.ts";
import { decodeAuthority } from "../foreign/foreign-cas.ts";

/** The makers whose CAs are trusted for enrolment: one PEM file each in a folder, and where its CRL lies beside it. */
export interface Manufacturers {
  /** Takes one; where a CRL is named, it has to be there. */
  add(name: string, pem: string, crl?: CrlSource): Promise<Manufacturer>;
  list(): readonly Manufacturer[];
  remove(name: string): Manufacturer;
  /** PEM of all of them. */
  trustAnchors(): readonly string[];
  /** The name of the maker who issued a certificate. */
  makerOf(certificate: X509Certificate): string | undefined;
  /** Whether a maker's CRL lists the certificate, or is too old to say; of a maker without a CRL nothing is refused. */
  refuses(name: string, certificate: X509Certificate): "revoked" | "stale" | undefined;
  /** Reads the CRLs that are due: called every few seconds. */
  look(): Promise<void>;
}

export interface ManufacturersParts extends Pick<CrlWatchParts, "now" | "record"> {
  readonly folder: string;
  /** What is trusted has changed. */
  readonly changed: () => void;
}

export function openManufacturers({
  folder,
  changed: onChange,
  ...parts
}: ManufacturersParts): Manufacturers {
  const pathOf = (name: string) => join(folder, `${name}.pem`);
  const placeOf = (name: string) => join(folder, `${name}.place`);
  const crlOf = (name: string) =>
    existsSync(placeOf(name)) ? readText(placeOf(name)).trim() : undefined;
  const crlPathOf = (name: string) => join(folder, `${name}.crl`);
  const watch = new CrlWatch({
    kind: "manufacturer",
    pathOf: crlPathOf,
    changed: () => {}, // each enrolment asks anew
    ...parts,
  });
  for (const name of namesIn(folder)) {
    const source = crlOf(name);
    if (source === undefined) continue;
    watch.follow({ name, ca: decodeAuthority(readText(pathOf(name))), source });
  }
  const authorityAt = (name: string) => authorityOf(readText(pathOf(name)));
  const describe = (name: string): Manufacturer => {
    const { fingerprint256, validTo } = authorityAt(name);
    const source = crlOf(name);
    return {
      name,
      fingerprint: fingerprintOf(fingerprint256),
      notAfter: Date.parse(validTo),
      ...(source === undefined ? {} : { crl: crlSummary(source, watch.status(name)) }),
    };
  };
  return {
    async add(name, pem, crl) {
      const authority = authorityOf(pem);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      watch.forget(name); // the same maker with another CA or CRL
      rmSync(placeOf(name), { force: true });
      if (crl !== undefined) {
        const ca = decodeAuthority(authority.toString());
        await watch.begin({ name, ca, source: crl });
        replaceFile(placeOf(name), `${crl}\n`, 0o600);
      }
      replaceFile(pathOf(name), authority.toString(), 0o600);
      onChange();
      return describe(name);
    },
    list: () => namesIn(folder).map(describe),
    remove(name) {
      if (!namesIn(folder).includes(name)) {
        throw new Failure("ERR_MANUFACTURER_UNKNOWN", `there is no manufacturer ${name}`, {
          hint: "wardmq manufacturer list DIR shows those there are",
        });
      }
      const removed = describe(name);
      rmSync(pathOf(name));
      rmSync(placeOf(name), { force: true });
      watch.forget(name);
      syncFolder(folder);
      onChange();
      return removed;
    },
    trustAnchors: () => namesIn(folder).map((name) => readText(pathOf(name))),
    refuses: (name, certificate) => {
      if (crlOf(name) === undefined) return undefined;
      const { serialNumber } = decodeCertificate(certificate.raw);
      return watch.refuses(name, serialNumberHex(serialNumber));
    },
    look: () => watch.look(),
    makerOf: (certificate) =>
      namesIn(folder).find((name) => {
        const authority = authorityAt(name);
        return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
      }),
  };
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
      .flatMap((file) => /^([A-Za-z0-9_-]{1,64})\.pem$/.exec(file)?.[1] ?? [])
      .sort();
  } catch (error) {
    if (systemCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** One certificate of a CA: the one that signs the maker's device identities, a root or not. */
function authorityOf(pem: string): X509Certificate {
  try {
    const authority = new X509Certificate(pem);
    if (authority.ca && pem.match(/-----BEGIN /g)?.length === 1) return authority;
  } catch {
    // said below
  }
  throw new Failure("ERR_MANUFACTURER", "what was given is not one certificate of a CA in PEM", {
    hint: "ask the maker for the CA certificate that signs its device identities (IDevID)",
  });
}
