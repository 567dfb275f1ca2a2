import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import {
  authorityKeyIdentifier,
  basicConstraints,
  certificate,
  decodePublicKey,
  type ExtendedKeyUsage,
  encodeName,
  encodePem,
  extendedKeyUsage,
  type GeneralName,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "@wardmq/x509";

const hourMs = 3_600_000;

/** A certificate with its key and all that a test says about it. */
export interface Issued {
  readonly key: string;
  /** The certificate alone, PEM. */
  readonly pem: string;
  /** The certificate and those of its issuers but for the root, PEM. */
  readonly chain: string;
  readonly x509: X509Certificate;
  /** As a subject's record has it: SHA-256 over the DER, lower-case hex. */
  readonly fingerprint: string;
}

/** A certification authority made for a test. */
export interface Authority extends Issued {
  readonly name: Uint8Array;
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
  readonly isRoot: boolean;
}

export interface Wanted {
  readonly commonName: string;
  readonly names?: readonly GeneralName[];
  readonly usages?: readonly ExtendedKeyUsage[];
  readonly isAuthority?: boolean;
  /** Milliseconds from now. */
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly keyType?: "P-256" | "RSA";
  /** Of the subject, beside its commonName. */
  readonly serialNumber?: string;
  /** PEM of a private key that is there already. */
  readonly key?: string;
  /** Of somebody else's key, in place of one that is made: SubjectPublicKeyInfo, DER. */
  readonly publicKey?: Uint8Array;
}

/** A certificate by `issuer`, or a self-signed one; nothing is checked, for tests need the wrong ones too. */
export async function issue(issuer: Authority | undefined, wanted: Wanted): Promise<Authority> {
  const pair = keyPairOf(wanted);
  const made = new Uint8Array(pair.publicKey.export({ type: "spki", format: "der" }));
  const publicKey = wanted.publicKey ?? made;
  const { commonName, serialNumber } = wanted;
  const name = encodeName({
    organizationName: "Hospital",
    commonName,
    ...(serialNumber === undefined ? {} : { serialNumber }),
  });
  const by = issuer ?? { name, privateKey: pair.privateKey, publicKey, isRoot: false, chain: "" };
  const usages = wanted.usages ?? [];
  const der = await certificate(
    {
      serialNumber: Buffer.concat([Buffer.of(0x4f), randomBytes(15)]),
      issuer: by.name,
      validity: {
        notBefore: Date.now() + (wanted.notBefore ?? -hourMs),
        notAfter: Date.now() + (wanted.notAfter ?? 24 * hourMs),
      },
      subject: name,
      publicKey,
      extensions: [
        basicConstraints({ ca: wanted.isAuthority ?? false }),
        keyUsage(wanted.isAuthority ? ["keyCertSign", "cRLSign"] : ["digitalSignature"]),
        ...(usages.length > 0 ? [extendedKeyUsage(usages)] : []),
        subjectKeyIdentifier(keyIdentifier(publicKey)),
        authorityKeyIdentifier(keyIdentifier(by.publicKey)),
        ...(wanted.names === undefined ? [] : [subjectAltName(wanted.names)]),
      ],
    },
    {
      algorithm: "ecdsa-with-SHA256",
      publicKey: by.publicKey,
      sign: (tbs) => sign("sha256", tbs, by.privateKey),
    },
  );
  const pem = encodePem("CERTIFICATE", der);
  return {
    key: String(pair.privateKey.export({ type: "pkcs8", format: "pem" })),
    pem,
    chain: issuer === undefined || issuer.isRoot ? pem : pem + issuer.chain,
    x509: new X509Certificate(der),
    fingerprint: createHash("sha256").update(der).digest("hex"),
    name,
    privateKey: pair.privateKey,
    publicKey,
    isRoot: issuer === undefined,
  };
}

function keyPairOf({ key, keyType }: Wanted) {
  if (key !== undefined) {
    return { privateKey: createPrivateKey(key), publicKey: createPublicKey(key) };
  }
  return keyType === "RSA"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** RFC 7093 method 1 would be longer; any 20 bytes of the key do. */
function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  let bits = publicKey;
  try {
    bits = decodePublicKey(publicKey).bits;
  } catch {
    // RSA: not a key that we certify, but one a test may present.
  }
  return createHash("sha256").update(bits).digest().subarray(0, 20);
}
