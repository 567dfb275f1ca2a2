import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Certificate,
  type CertificateProfileName,
  certificate,
  certificateFields,
  decodeCertificate,
  encodeName,
  encodePem,
  type GeneralName,
  type Signer,
} from "../src/index.ts";
import { bytes, keyIdentifier, newKey, signerOf } from "./keys.ts";

/** A CA made for one test. */
export interface TestAuthority {
  readonly signer: Signer;
  readonly certificate: Certificate;
}

export async function rootAuthority(commonName = "root"): Promise<TestAuthority> {
  const signer = signerOf(newKey());
  const subject = encodeName({ commonName });
  const self = { signer, certificate: { subject } };
  return { signer, certificate: await issueBy(self, "rootCa", subject, signer.publicKey) };
}

/** A certificate of a profile, signed by an authority. */
export async function issueBy(
  by: { readonly signer: Signer; readonly certificate: Pick<Certificate, "subject"> },
  profile: CertificateProfileName,
  subject: Uint8Array,
  publicKey: Uint8Array,
  names: readonly GeneralName[] = [],
  serialNumber = bytes("7a01"),
): Promise<Certificate> {
  const fields = certificateFields(profile, {
    serialNumber,
    issuer: by.certificate.subject,
    authorityKeyIdentifier: keyIdentifier(by.signer.publicKey),
    subject,
    subjectKeyIdentifier: keyIdentifier(publicKey),
    publicKey,
    now: Date.now(),
    lifetimeShare: 1,
    subjectAltName: names,
  });
  return decodeCertificate(await certificate(fields, by.signer));
}

/** A folder of files for a program, gone at the end of the scope. */
export class Files implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), "x509-"));

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  read(name: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.folder, name)));
  }

  certificate(name: string, { der }: Certificate): string {
    return this.write(name, encodePem("CERTIFICATE", der));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
