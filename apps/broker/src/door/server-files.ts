import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  destroyFile,
  endReplacement,
  isPlainKeyFile,
  type KeyProvider,
  type KeyProviders,
  KeysError,
  openPrivateKeyFile,
  putInPlace,
  readPrivateKeyFile,
  readPrivateText,
  spkiOf,
  syncFolder,
  wrapPlainKeyFile,
  writeNewFile,
  writePrivateKeyFile,
} from "@wardmq/keys";
import {
  type Certificate,
  decodeCertificate,
  encodeGeneralName,
  extensionOids,
  generalNamesOf,
  hostGeneralName,
  nameValues,
  sameBytes,
  serverCommonName,
} from "@wardmq/x509";

/** The server's key or certificate can not be used: one sentence for the operator. */
export class CredentialFault extends Error {
  /** Whether a new certificate of control puts it right; else the files are the operator's to mend. */
  readonly isForControl: boolean;

  constructor(message: string, isForControl = false) {
    super(message);
    this.isForControl = isForControl;
  }
}

/** What the files hold. */
export interface ServerCredential {
  /** PEM, in memory only. */
  readonly key: string;
  /** PEM: the certificate, then its path. */
  readonly certificate: string;
  readonly leaf: Certificate;
  readonly path: readonly Certificate[];
  /** Whether control has signed it; else it is the operator's own, and is left alone. */
  readonly isOurs: boolean;
  /** The key lies on the disk in the clear, as control once made it. */
  readonly isPlain: boolean;
}

const keyFile = "broker/server.key";
const certificateFile = "broker/server.pem";
/** What is being put in place; a backup leaves it out. */
const nextOf = (path: string) => `${path}.next`;

/** The files of the server's key, wrapped like all private keys, and of its certificate. */
export class ServerFiles {
  readonly #key: string;
  readonly #certificate: string;
  readonly #providers: KeyProviders;
  readonly #provider: KeyProvider;

  /** `provider` wraps the keys that are made here. */
  constructor(directory: string, providers: KeyProviders, provider: KeyProvider) {
    this.#key = join(directory, keyFile);
    this.#certificate = join(directory, certificateFile);
    this.#providers = providers;
    this.#provider = provider;
  }

  /** Key and certificate, or a CredentialFault for what would only fail at the first handshake. */
  read(hosts: readonly string[], now: number): ServerCredential {
    if (!existsSync(this.#key) && !existsSync(this.#certificate))
      throw new CredentialFault("there is no server certificate yet: control signs one", true);
    const { key, isPlain } = this.#readKey();
    const certificate = this.#readCertificate();
    const [leaf, ...path] = decode(certificate);
    const isOurs = nameValues(leaf.subject, "commonName").join() === serverCommonName;
    if (!sameBytes(leaf.publicKey, spkiOf(key))) {
      throw new CredentialFault(
        `${certificateFile} does not belong to ${keyFile}: replace both together`,
        isOurs,
      );
    }
    if (leaf.validity.notAfter <= now) {
      const day = new Date(leaf.validity.notAfter).toISOString().slice(0, 10);
      throw new CredentialFault(
        `${certificateFile} expired on ${day}: start control, which signs the next one, or put a new one in its place`,
        isOurs,
      );
    }
    const own = new X509Certificate(leaf.der);
    // A client sends no server name for an IP address, so that every host is a DNS name.
    const missing = isOurs ? [] : hosts.filter((host) => own.checkHost(host) === undefined);
    if (missing.length > 0) {
      throw new CredentialFault(
        `${certificateFile} does not name ${missing.join(", ")}: hosts in wardmq.yaml and the certificate must agree`,
      );
    }
    if (isPlain && !isOurs) wrapPlainKeyFile(this.#key, this.#provider);
    const pem = key.export({ type: "pkcs8", format: "pem" }).toString();
    return { key: pem, certificate, leaf, path, isOurs, isPlain: isPlain && isOurs };
  }

  /**
   * Puts a new key and its certificate in the place of the former ones, and destroys the former key:
   *
   *     both written beside the former (a crash before this is whole: the former stay) -> key moved -> certificate moved
   *
   * `settle` finishes what was cut off.
   */
  install(key: KeyObject, certificate: string): void {
    this.#dropNext();
    writePrivateKeyFile(nextOf(this.#key), key, this.#provider);
    writeNewFile(nextOf(this.#certificate), certificate, 0o600);
    syncFolder(join(this.#key, ".."));
    this.settle();
  }

  /** Finishes an `install` that was cut off after all was written, and removes what is left of one before. */
  settle(): void {
    endReplacement(this.#key);
    const next = publicKeyOfCertificate(nextOf(this.#certificate));
    const isKeyNext = next !== undefined && publicKeyOfFile(nextOf(this.#key)) === next;
    const isKeyMoved = next !== undefined && publicKeyOfFile(this.#key) === next;
    if (isKeyNext) putInPlace(nextOf(this.#key), this.#key);
    if (isKeyNext || isKeyMoved) renameSync(nextOf(this.#certificate), this.#certificate);
    this.#dropNext();
    syncFolder(join(this.#key, ".."));
  }

  /** Changes when either file does. */
  stamp(): string {
    try {
      return [this.#key, this.#certificate]
        .map((file) => statSync(file))
        .map(({ mtimeMs, size, ino }) => `${mtimeMs}.${size}.${ino}`)
        .join(" ");
    } catch {
      return ""; // between two renames of an operator, or before the first
    }
  }

  #dropNext(): void {
    destroyFile(nextOf(this.#key));
    rmSync(nextOf(this.#certificate), { force: true });
  }

  #readKey(): { readonly key: KeyObject; readonly isPlain: boolean } {
    try {
      if (isPlainKeyFile(this.#key))
        return { key: createPrivateKey(readPrivateText(this.#key)), isPlain: true };
      return { key: openPrivateKeyFile(this.#key, this.#providers), isPlain: false };
    } catch (error) {
      if (!existsSync(this.#key)) {
        throw new CredentialFault(
          `${keyFile} is missing beside ${certificateFile}: restore it, or remove both for a new one of control`,
        );
      }
      if (error instanceof KeysError) {
        const why = error.message.replace(this.#key, keyFile);
        throw new CredentialFault(`${why}: ${error.hint.replace(this.#key, keyFile)}`);
      }
      throw new CredentialFault(
        `${keyFile} holds no private key that can be read: restore it, or remove both files for a new one of control`,
      );
    }
  }

  #readCertificate(): string {
    try {
      return readFileSync(this.#certificate, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new CredentialFault(
        `${certificateFile} cannot be read (${code}): restore it, or remove both files for a new one of control`,
      );
    }
  }
}

/** Whether the names of a certificate are the hosts, in whatever order. */
export function namesHosts(leaf: Certificate, hosts: readonly string[]): boolean {
  return hexOf(namesIn(leaf)) === hexOf(namesOf(hosts));
}

const hexOf = (names: readonly Uint8Array[]) =>
  names
    .map((name) => Buffer.from(name).toString("hex"))
    .sort()
    .join();
const namesOf = (hosts: readonly string[]) =>
  hosts.map((host) => encodeGeneralName(hostGeneralName(host)));

function namesIn({ extensions }: Certificate): readonly Uint8Array[] {
  const found = extensions.find(({ oid }) => oid === extensionOids.subjectAltName);
  return found === undefined ? [] : generalNamesOf(found.value);
}

function decode(pem: string): readonly [Certificate, ...Certificate[]] {
  try {
    // What others have made may have text around its blocks.
    const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
    const [leaf, ...path] = blocks.map((block) =>
      decodeCertificate(new Uint8Array(new X509Certificate(block).raw)),
    );
    if (leaf !== undefined) return [leaf, ...path];
  } catch {
    // said below
  }
  throw new CredentialFault(
    `${certificateFile} holds no certificate: PEM, the server's first, then its issuing CAs`,
  );
}

/** In base64, as files of keys have it; nothing where there is no whole one. */
function publicKeyOfCertificate(path: string): string | undefined {
  try {
    const [leaf] = decode(readFileSync(path, "utf8"));
    return Buffer.from(leaf.publicKey).toString("base64");
  } catch {
    return undefined;
  }
}

function publicKeyOfFile(path: string): string | undefined {
  try {
    if (!isPlainKeyFile(path)) return readPrivateKeyFile(path).publicKey;
    const spki = createPublicKey(readPrivateText(path)).export({ type: "spki", format: "der" });
    return spki.toString("base64");
  } catch {
    return undefined;
  }
}
