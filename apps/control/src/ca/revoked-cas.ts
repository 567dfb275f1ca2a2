import { type Certificate, serialNumberHex } from "@wardmq/x509";
import { paths } from "../deployment.ts";
import type { StateFile } from "../files.ts";
import { caIdOf, isIssuedBy } from "./certificate-authority.ts";
import { decodeCertificates } from "./pem-file.ts";

/** An issuing CA that an emergency rotation leaves. */
export interface RevokedCa {
  readonly ca: string;
  /** Id of the root that certified it. */
  readonly issuer: string;
  /** Magnitude in hex. */
  readonly serialNumber: string;
  readonly notAfter: number;
  /** When the emergency began. */
  readonly revokedAt: number;
}

/** Which issuing CAs the CRL of a root has to name, kept over restarts. */
export class RevokedCas {
  readonly #file: StateFile;

  constructor(file: StateFile) {
    this.#file = file;
  }

  /** These are to be left; each counts as revoked once it is gone. */
  add(cas: readonly Certificate[], revokedAt: number): void {
    const roots = decodeCertificates(paths.rootCertificate);
    const known = this.#read();
    const added = cas.flatMap((ca): readonly RevokedCa[] => {
      const serialNumber = serialNumberHex(ca.serialNumber);
      const root = roots.find((one) => isIssuedBy(ca, one));
      if (root === undefined || known.some((one) => one.serialNumber === serialNumber)) return [];
      const { notAfter } = ca.validity;
      return [{ ca: caIdOf(ca), issuer: caIdOf(root), serialNumber, notAfter, revokedAt }];
    });
    this.#file.write(JSON.stringify([...known, ...added]));
  }

  /** Those that are gone: while the rotation runs, devices still come with certificates of theirs. */
  list(): readonly RevokedCa[] {
    const trusted = decodeCertificates(paths.issuingCertificate).map(caIdOf);
    return this.#read().filter(({ ca }) => !trusted.includes(ca));
  }

  #read(): readonly RevokedCa[] {
    // INVARIANT: `add` wrote it.
    return JSON.parse(this.#file.read() ?? "[]") as RevokedCa[];
  }
}
