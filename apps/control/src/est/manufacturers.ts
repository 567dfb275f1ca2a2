import { X509Certificate } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Manufacturer } from "@wardmq/commands";
import { replaceFile, syncFolder } from "@wardmq/keys";
import { fingerprintOf } from "@wardmq/tls";
import { Failure, systemCode } from "../failure.ts";
import { readText } from "../files.ts";

/** The makers whose CAs are trusted for enrolment: one PEM file each in a folder. */
export interface Manufacturers {
  add(name: string, pem: string): Manufacturer;
  list(): readonly Manufacturer[];
  remove(name: string): Manufacturer;
  /** PEM of all of them. */
  trustAnchors(): readonly string[];
  /** The name of the maker who issued a certificate. */
  makerOf(certificate: X509Certificate): string | undefined;
}

/** `onChange` is called when what is trusted has changed. */
export function openManufacturers(folder: string, onChange: () => void = () => {}): Manufacturers {
  const pathOf = (name: string) => join(folder, `${name}.pem`);
  const authorityAt = (name: string) => authorityOf(readText(pathOf(name)));
  const describe = (name: string): Manufacturer => {
    const { fingerprint256, validTo } = authorityAt(name);
    return { name, fingerprint: fingerprintOf(fingerprint256), notAfter: Date.parse(validTo) };
  };
  return {
    add(name, pem) {
      const authority = authorityOf(pem);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
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
      syncFolder(folder);
      onChange();
      return removed;
    },
    trustAnchors: () => namesIn(folder).map((name) => readText(pathOf(name))),
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
