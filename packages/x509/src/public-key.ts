import {
  bitStringOctets,
  DerReader,
  objectIdentifier,
  sequence,
  tags,
  unsignedOctets,
} from "./der.ts";
import { X509Error } from "./x509-error.ts";

export type KeyType = "P-256" | "P-384" | "Ed25519" | "ML-DSA-44" | "ML-DSA-65";

export type SignatureAlgorithm =
  | "ecdsa-with-SHA256"
  | "ecdsa-with-SHA384"
  | "Ed25519"
  | "ML-DSA-44"
  | "ML-DSA-65";

interface KeyTypeDefinition {
  /** AlgorithmIdentifier of the SubjectPublicKeyInfo, hex. */
  readonly algorithmIdentifier: string;
  readonly keyOctets: number;
  readonly signatureAlgorithm: SignatureAlgorithm;
}

/** The keys we certify. EC points are uncompressed, so that one key has one encoding. */
const keyTypes = {
  "P-256": {
    algorithmIdentifier: "301306072a8648ce3d020106082a8648ce3d030107",
    keyOctets: 65,
    signatureAlgorithm: "ecdsa-with-SHA256",
  },
  "P-384": {
    algorithmIdentifier: "301006072a8648ce3d020106052b81040022",
    keyOctets: 97,
    signatureAlgorithm: "ecdsa-with-SHA384",
  },
  Ed25519: {
    algorithmIdentifier: "300506032b6570",
    keyOctets: 32,
    signatureAlgorithm: "Ed25519",
  },
  "ML-DSA-44": {
    algorithmIdentifier: "300b0609608648016503040311",
    keyOctets: 1312,
    signatureAlgorithm: "ML-DSA-44",
  },
  "ML-DSA-65": {
    algorithmIdentifier: "300b0609608648016503040312",
    keyOctets: 1952,
    signatureAlgorithm: "ML-DSA-65",
  },
} as const satisfies Record<KeyType, KeyTypeDefinition>;

interface SignatureAlgorithmDefinition {
  readonly oid: string;
  /** What `node:crypto` `sign` and `verify` take as their first argument. */
  readonly hash: "sha256" | "sha384" | null;
}

/** RFC 5758 section 3.2, RFC 8410 section 3, RFC 9881 section 2: no parameters. */
export const signatureAlgorithms = {
  "ecdsa-with-SHA256": { oid: "1.2.840.10045.4.3.2", hash: "sha256" },
  "ecdsa-with-SHA384": { oid: "1.2.840.10045.4.3.3", hash: "sha384" },
  Ed25519: { oid: "1.3.101.112", hash: null },
  "ML-DSA-44": { oid: "2.16.840.1.101.3.4.3.17", hash: null },
  "ML-DSA-65": { oid: "2.16.840.1.101.3.4.3.18", hash: null },
} as const satisfies Record<SignatureAlgorithm, SignatureAlgorithmDefinition>;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The AlgorithmIdentifier of a signature, as it stands in certificates and requests. */
export function signatureAlgorithmIdentifier(algorithm: SignatureAlgorithm): Uint8Array {
  return sequence(objectIdentifier(signatureAlgorithms[algorithm].oid));
}

/** The signature algorithm of this AlgorithmIdentifier, or nothing when we do not use it. */
export function signatureAlgorithmOf(identifier: Uint8Array): SignatureAlgorithm | undefined {
  const names = Object.keys(signatureAlgorithms) as SignatureAlgorithm[];
  return names.find((name) => hex(signatureAlgorithmIdentifier(name)) === hex(identifier));
}

/** Whether a key of this type makes signatures of this algorithm: an EC key goes with either hash. */
export function signatureFits(algorithm: SignatureAlgorithm, type: KeyType): boolean {
  const own: SignatureAlgorithm = keyTypes[type].signatureAlgorithm;
  return algorithm === own || (algorithm.startsWith("ecdsa") && own.startsWith("ecdsa"));
}

/** RFC 4055 section 5 and RFC 5758 section 3.2: what others sign CRLs with and we do not. */
const foreignSignatureAlgorithms: Readonly<Record<string, "sha256" | "sha384" | "sha512">> = {
  "300d06092a864886f70d01010b0500": "sha256",
  "300d06092a864886f70d01010c0500": "sha384",
  "300d06092a864886f70d01010d0500": "sha512",
  "300a06082a8648ce3d040304": "sha512",
};

/**
 * The hash that `node:crypto` `verify` takes for a signature of this AlgorithmIdentifier, ours or one that other CAs
 * use; undefined when it is neither: RSA-PSS, SHA-1 and MD5 among them.
 */
export function verifyingHashOf(
  identifier: Uint8Array,
): "sha256" | "sha384" | "sha512" | null | undefined {
  const ours = signatureAlgorithmOf(identifier);
  return ours === undefined
    ? foreignSignatureAlgorithms[hex(identifier)]
    : signatureAlgorithms[ours].hash;
}

export interface PublicKey {
  readonly type: KeyType;
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** The content of the BIT STRING: what key identifiers are made from. */
  readonly bits: Uint8Array;
}

/** A SubjectPublicKeyInfo in DER. Whether an EC point is on its curve is left to the crypto library. */
export function decodePublicKey(spki: Uint8Array): PublicKey {
  const outer = new DerReader(spki);
  const inner = new DerReader(outer.read(tags.sequence).content);
  outer.end();
  const identifier = hex(inner.read(tags.sequence).bytes);
  const bits = bitStringOctets(inner.read(tags.bitString));
  inner.end();
  for (const [type, definition] of Object.entries(keyTypes)) {
    if (definition.algorithmIdentifier !== identifier) continue;
    const uncompressed = !type.startsWith("P-") || bits[0] === 0x04;
    if (bits.length !== definition.keyOctets || !uncompressed) break;
    return { type: type as KeyType, signatureAlgorithm: definition.signatureAlgorithm, bits };
  }
  throw new X509Error("ERR_X509_PUBLIC_KEY");
}

/** AlgorithmIdentifier of rsaEncryption with its NULL (RFC 3279 section 2.3.1), hex. */
const rsaEncryption = "300d06092a864886f70d0101010500";
/** NIST SP 800-52r2 section 3.1 asks for 2048 bits; beyond 8192 a signature is work that a peer chooses for us. */
const rsaBits = { least: 2_048, most: 8_192 } as const;

/** Whether a key that another CA has certified is one we accept: one of ours, or RSA with 2048 to 8192 bits. */
export function isAcceptedForeignKey(spki: Uint8Array): boolean {
  try {
    return isAcceptedRsaKey(spki) || decodePublicKey(spki).bits.length > 0;
  } catch (error) {
    if (error instanceof X509Error) return false;
    throw error;
  }
}

function isAcceptedRsaKey(spki: Uint8Array): boolean {
  const inner = new DerReader(new DerReader(spki).read(tags.sequence).content);
  if (hex(inner.read(tags.sequence).bytes) !== rsaEncryption) return false;
  const key = new DerReader(bitStringOctets(inner.read(tags.bitString)));
  const [first = 0, ...rest] = unsignedOctets(
    new DerReader(key.read(tags.sequence).content).read(tags.integer),
  );
  const bits = 32 - Math.clz32(first) + rest.length * 8;
  return bits >= rsaBits.least && bits <= rsaBits.most;
}
