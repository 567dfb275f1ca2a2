import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { printable } from "@wardmq/events";
import type { BrokerMessage } from "@wardmq/feed";
import { keySigner } from "@wardmq/keys";
import {
  basicConstraints,
  type Certificate,
  certificateRequest,
  decodeCertificate,
  decodePems,
  type Extension,
  encodePem,
  extendedKeyUsage,
  longestLifetimeMs,
  renewalAt,
  sameBytes,
} from "@wardmq/x509";
import {
  CredentialFault,
  namesHosts,
  type ServerCredential,
  type ServerFiles,
} from "./server-files.ts";

/** What the feed says that a server certificate has to fit. */
export interface ServerWorld {
  readonly hosts: readonly string[];
  /** PEM of the issuing CAs, the one that signs now first. */
  readonly trustAnchors: readonly string[];
}

export interface ServerCertificateParts {
  readonly files: Pick<ServerFiles, "read" | "install" | "stamp">;
  /** Throws before the feed has said anything. */
  readonly world: () => ServerWorld;
  readonly send: (message: BrokerMessage) => boolean;
  /** Has the door take the files for the handshakes to come. */
  readonly use: () => void;
  readonly now: () => number;
  /** That no new certificate came, in one sentence. */
  readonly failed: (why: string) => void;
}

/** How long control may take to sign. */
const answerMs = 30_000;
/** After a refusal the broker is quiet for this long. */
const quietMs = 60_000;

/**
 * The broker's own certificate. The key is made here and leaves the process for its file only, wrapped; control signs:
 *
 *     due --request with a new key--> asked --certificate--> checked, written, in use
 *                                       | refused, unfit, or nothing in 30 s: the former key and certificate stay
 *
 * It is due when there is none, at two thirds of its life, when hosts or the CA that signs are others, and on request.
 */
export class ServerCertificateRenewal {
  readonly #parts: ServerCertificateParts;
  #asked: { readonly key: KeyObject; readonly until: number } | undefined;
  #quietUntil = 0;
  #waiting: (() => void)[] = [];
  /** What the files held when they had this stamp. */
  #seen: { readonly stamp: string; readonly found: ServerCredential | CredentialFault } | undefined;

  constructor(parts: ServerCertificateParts) {
    this.#parts = parts;
  }

  /** Settles when there is a certificate to serve with; throws a CredentialFault that control can not put right. */
  async ready(): Promise<void> {
    for (;;) {
      const found = this.#look();
      if (!(found instanceof CredentialFault)) return;
      if (!found.isForControl) throw found;
      await new Promise<void>((installed) => this.#waiting.push(installed));
    }
  }

  /** Asks control for a certificate when it is time. Called with every sign of life of control. */
  look(): void {
    if (this.#parts.now() >= this.#quietUntil && this.#isDue()) void this.#ask();
  }

  /** Asks for a new one whether it is time or not. */
  renew(): void {
    const found = this.#look();
    const isOperators = found instanceof CredentialFault ? !found.isForControl : !found.isOurs;
    if (isOperators) this.#fail("broker/server.pem is the operator's own: replace both files");
    else void this.#ask();
  }

  /** Takes control's answer. */
  take(pem: string): void {
    const asked = this.#asked;
    if (asked === undefined) return; // came too late
    this.#asked = undefined;
    const { files, world, now, use } = this.#parts;
    const why = unfit(pem, asked.key, world(), now()) ?? install(files, asked.key, pem);
    if (why !== undefined) {
      this.#fail(`the certificate of control is refused: ${why}`);
      return;
    }
    use();
    this.tell();
    for (const installed of this.#waiting.splice(0)) installed();
  }

  refused(why: string): void {
    this.#asked = undefined;
    this.#fail(`control refused to sign: ${why}`);
  }

  /** Tells control what is shown to who connects. */
  tell(): void {
    const found = this.#look();
    if (found instanceof CredentialFault) return;
    const { leaf, isOurs } = found;
    const serialNumber = Buffer.from(leaf.serialNumber).toString("hex").toUpperCase();
    this.#parts.send({ type: "server-certificate", serialNumber, ...leaf.validity, isOurs });
  }

  async #ask(): Promise<void> {
    const { now, send } = this.#parts;
    if (this.#asked !== undefined && now() < this.#asked.until) return;
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#asked = { key: privateKey, until: now() + answerMs };
    const { publicKey, sign } = keySigner(privateKey);
    const request = await certificateRequest(publicKey, sign);
    const isSent = send({
      type: "certificate-request",
      request: Buffer.from(request).toString("base64"),
    });
    if (!isSent) this.#asked = undefined;
  }

  #isDue(): boolean {
    const found = this.#look();
    if (found instanceof CredentialFault) return found.isForControl;
    const { leaf, path, isOurs, isPlain } = found;
    if (!isOurs) return false;
    const { hosts, trustAnchors } = this.#parts.world();
    const now = this.#parts.now();
    const [issuer] = path.map(({ der }) => encodePem("CERTIFICATE", der));
    return (
      isPlain ||
      leaf.validity.notBefore > now || // the clock went wrong when it was signed
      now >= renewalAt(leaf.validity) ||
      !namesHosts(leaf, hosts) ||
      issuer !== trustAnchors[0]
    );
  }

  #look(): ServerCredential | CredentialFault {
    const { files, world, now } = this.#parts;
    const stamp = files.stamp();
    if (this.#seen === undefined || this.#seen.stamp !== stamp || stamp === "") {
      this.#seen = { stamp, found: readOrFault(() => files.read(world().hosts, now())) };
    }
    return this.#seen.found;
  }

  #fail(why: string): void {
    this.#quietUntil = this.#parts.now() + quietMs;
    this.#parts.send({ type: "not-renewed", why });
    this.#parts.failed(why);
  }
}

function readOrFault(read: () => ServerCredential): ServerCredential | CredentialFault {
  try {
    return read();
  } catch (error) {
    if (error instanceof CredentialFault) return error;
    throw error;
  }
}

/** What a new certificate is judged against. */
interface Received {
  readonly leaf: Certificate;
  readonly issuer: Certificate | undefined;
  readonly publicKey: Uint8Array;
  readonly world: ServerWorld;
  readonly now: number;
}

/** Why a certificate is not what was asked for, each told by its name; control may err, and a broker has one certificate. */
const faults: Readonly<Record<string, (received: Received) => boolean>> = {
  "it is for another key": ({ leaf, publicKey }) => !sameBytes(leaf.publicKey, publicKey),
  "its names are not the hosts": ({ leaf, world }) => !namesHosts(leaf, world.hosts),
  "it is not for a TLS server alone": ({ leaf }) =>
    !has(leaf, basicConstraints({ ca: false })) || !has(leaf, extendedKeyUsage(["serverAuth"])),
  "it is not valid now": ({ leaf: { validity }, now }) =>
    validity.notBefore > now || validity.notAfter <= now,
  "it lives for longer than a server certificate may": ({ leaf: { validity } }) =>
    validity.notAfter - validity.notBefore > longestLifetimeMs("server"),
  "no issuing CA of this deployment has signed it": ({ leaf, issuer, world }) =>
    issuer === undefined ||
    !world.trustAnchors.includes(encodePem("CERTIFICATE", issuer.der)) ||
    !new X509Certificate(leaf.der).verify(new X509Certificate(issuer.der).publicKey),
};

function unfit(pem: string, key: KeyObject, world: ServerWorld, now: number): string | undefined {
  try {
    const [leaf, issuer] = decodePems("CERTIFICATE", pem).map(decodeCertificate);
    if (leaf === undefined) return "there is none";
    const received = { leaf, issuer, publicKey: keySigner(key).publicKey, world, now };
    const fault = Object.entries(faults).find(([, isFaulty]) => isFaulty(received));
    if (fault !== undefined) return fault[0];
    const keyPem = key.export({ type: "pkcs8", format: "pem" }).toString();
    createSecureContext({ key: keyPem, cert: pem }); // the TLS library has the last word
    return undefined;
  } catch (error) {
    return `it can not be used: ${printable(error instanceof Error ? error.message : "", 200)}`;
  }
}

/** Why the two can not be written, or nothing. */
function install(files: Pick<ServerFiles, "install">, key: KeyObject, pem: string) {
  try {
    files.install(key, pem);
    return undefined;
  } catch (error) {
    const { code = "failed" } = error as NodeJS.ErrnoException;
    return `it can not be written (${code})`;
  }
}

function has({ extensions }: Certificate, wanted: Extension): boolean {
  return extensions.some(({ oid, value }) => oid === wanted.oid && sameBytes(value, wanted.value));
}
