import { existsSync } from "node:fs";
import { replaceFile } from "@wardmq/keys";
import type { Certificate } from "@wardmq/x509";
import { certificatePem, sha256Hex } from "./certificate-authority.ts";
import { decodeCertificates } from "./pem-file.ts";
import { registrySerialNumber } from "./revocation-lists.ts";

/** More than brokers will ever need: a broker that asks without end can not fill the disk. */
const mostKept = 200;

/** The certificates that control has signed for brokers and that have not ended, in a file. */
export class ServerCertificates {
  readonly #path: string;
  /** The newest last. */
  #all: readonly Certificate[];

  constructor(path: string) {
    this.#path = path;
    this.#all = existsSync(path) ? decodeCertificates(path) : [];
  }

  get newest(): Certificate | undefined {
    return this.#all.at(-1);
  }

  /** Whether a certificate has this public key, told by the SHA-256 of its SubjectPublicKeyInfo: no subject may have it too. */
  hasKey(publicKeyHash: string): boolean {
    return this.#all.some(({ publicKey }) => sha256Hex(publicKey) === publicKeyHash);
  }

  /** The one with this serial number, as OpenSSL prints it. */
  find(serialNumber: string): Certificate | undefined {
    return this.#all.find((one) => registrySerialNumber(one.serialNumber) === serialNumber);
  }

  /** On the disk when this returns. */
  add(certificate: Certificate, now: number): void {
    const living = this.#all.filter(({ validity }) => validity.notAfter > now);
    const all = [...living, certificate].slice(-mostKept);
    replaceFile(this.#path, all.map(certificatePem).join(""), 0o600);
    this.#all = all;
  }
}
