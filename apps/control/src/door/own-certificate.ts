import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { longestLifetimeMs } from "@wardmq/x509";
import { certificatePem } from "../ca/certificate-authority.ts";
import { issueServerCertificate, type ServerIssuer } from "../ca/server-certificate.ts";

/**
 * The key and the certificate of control's own listeners. The key is made at each start and is never written down: what
 * is on no disk can not be stolen from one.
 */
export class OwnCertificate {
  readonly #publicKey: Uint8Array;
  readonly #key: string;
  #certificate = "";
  /** Hosts, issuer and what stands behind it, as they were. */
  #issuedFor = "";
  #notAfter = 0;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#publicKey = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
    this.#key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  }

  get credentials(): { readonly key: string; readonly certificate: string } {
    return { key: this.#key, certificate: this.#certificate };
  }

  /** Issues it when there is none, its life is two thirds over, or hosts or CAs are others; tells whether it did. */
  async renew(by: ServerIssuer, hosts: readonly string[], now: number): Promise<boolean> {
    const path = [by.issuer.certificate, ...by.cross].map(certificatePem);
    const wanted = [...hosts, ...path].join();
    const isFresh = this.#notAfter - now >= longestLifetimeMs("server") / 3;
    if (isFresh && wanted === this.#issuedFor) return false;
    this.#certificate = await issueServerCertificate(by, this.#publicKey, hosts, now);
    this.#notAfter = Date.parse(new X509Certificate(this.#certificate).validTo);
    this.#issuedFor = wanted;
    return true;
  }
}
