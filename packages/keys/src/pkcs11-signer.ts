import { createHash, randomBytes } from "node:crypto";
import { printable } from "@wardmq/events";
import {
  bitString,
  DerReader,
  decodePublicKey,
  objectIdentifier,
  type Signer,
  sequence,
  signatureAlgorithms,
  tags,
  unsignedInteger,
} from "@wardmq/x509";
import type { KeyEnvironment } from "./key-provider.ts";
import { type Handle, Pkcs11Token, refused, type Template } from "./pkcs11-token.ts";
import { parsePkcs11Uri } from "./pkcs11-uri.ts";

/** The curves a token makes keys on, by the name of their kind of key. */
const curves = { "P-256": "1.2.840.10045.3.1.7", "P-384": "1.3.132.0.34" } as const;
export type TokenKeyType = keyof typeof curves;

/** A Signer whose EC key never leaves a PKCS#11 token, which signs in a thread of its own. Throws a KeysError. */
export function pkcs11Signer(uri: string, environment: KeyEnvironment, folder: string): Signer {
  const { object, ...rest } = parsePkcs11Uri(uri);
  const token = Pkcs11Token.open({ object, ...rest }, environment, folder);
  const key = token.findKey(privateKey(token), object);
  if (key !== undefined) return signerOf(token, key, object);
  const hint = "plug in the token that holds it, or correct object= in the PKCS#11 URI";
  throw refused(`the token holds no EC key ${printable(object, 80)}`, hint);
}

/** Makes a key pair in the token, which must have none of this name, and gives its Signer; `made` gets what undoes that. */
export function newPkcs11Signer(
  uri: string,
  type: TokenKeyType,
  environment: KeyEnvironment,
  folder: string,
  made: (undo: () => void) => void,
): Signer {
  const { object, ...rest } = parsePkcs11Uri(uri);
  const token = Pkcs11Token.open({ object, ...rest }, environment, folder);
  if (token.findKey(privateKey(token), object) !== undefined) {
    const hint = "name another one; a key that is there is never overwritten";
    throw refused(`the token holds a key ${printable(object, 80)} already`, hint);
  }
  const { pkcs11, module, session } = token;
  const common = [
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_EC },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_LABEL, value: object },
    { type: pkcs11.CKA_ID, value: randomBytes(20) }, // by which other programs tell the two halves of pairs apart
  ];
  const pair = module.C_GenerateKeyPair(
    session,
    { mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN },
    [
      ...common,
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PUBLIC_KEY },
      { type: pkcs11.CKA_EC_PARAMS, value: Buffer.from(objectIdentifier(curves[type])) },
      { type: pkcs11.CKA_VERIFY, value: true },
    ],
    [
      ...common,
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
      { type: pkcs11.CKA_PRIVATE, value: true },
      { type: pkcs11.CKA_SENSITIVE, value: true },
      { type: pkcs11.CKA_EXTRACTABLE, value: false },
      { type: pkcs11.CKA_SIGN, value: true },
    ],
  );
  made(token.undoOf(pair.privateKey, pair.publicKey));
  return signerOf(token, pair.privateKey, object);
}

/** Destroys a key pair in the token; one that is not there is destroyed already. */
export function destroyPkcs11Key(uri: string, environment: KeyEnvironment, folder: string): void {
  const { object, ...rest } = parsePkcs11Uri(uri);
  const token = Pkcs11Token.open({ object, ...rest }, environment, folder);
  const { pkcs11, module, session } = token;
  for (const value of [pkcs11.CKO_PRIVATE_KEY, pkcs11.CKO_PUBLIC_KEY]) {
    const found = token.find([
      { type: pkcs11.CKA_CLASS, value },
      { type: pkcs11.CKA_LABEL, value: object },
    ]);
    for (const one of found) module.C_DestroyObject(session, one);
  }
}

function privateKey({ pkcs11 }: Pkcs11Token): Template {
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_EC },
  ];
}

function signerOf(token: Pkcs11Token, key: Handle, label: string): Signer {
  const { pkcs11, module, session } = token;
  const publicKey = publicKeyOf(token, label);
  const { signatureAlgorithm } = decodePublicKey(publicKey);
  const { hash } = signatureAlgorithms[signatureAlgorithm];
  if (hash === null) throw new Error(`an EC key of a token that signs with ${signatureAlgorithm}`);
  let last: Promise<unknown> = Promise.resolve();
  return {
    algorithm: signatureAlgorithm,
    publicKey,
    sign: (tbs) => {
      const digest = createHash(hash).update(tbs).digest();
      const signed = last.then(async () => {
        module.C_SignInit(session, { mechanism: pkcs11.CKM_ECDSA }, key);
        return ecdsaSignature(await module.C_SignAsync(session, digest, Buffer.alloc(2 * 48)));
      });
      last = signed.catch(() => {}); // INVARIANT: a session signs one thing after the other
      return signed;
    },
  };
}

/** SubjectPublicKeyInfo, DER, from the public half that the token keeps beside the key. */
function publicKeyOf(token: Pkcs11Token, label: string): Uint8Array {
  const { pkcs11 } = token;
  const [found] = token.find([
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PUBLIC_KEY },
    { type: pkcs11.CKA_LABEL, value: label },
  ]);
  if (found === undefined) {
    const hint = "import the public key beside the private one, under the same label";
    throw refused(`the token holds no public key ${printable(label, 80)}`, hint);
  }
  const point = new DerReader(token.attribute(found, pkcs11.CKA_EC_POINT)).read(tags.octetString);
  const parameters = token.attribute(found, pkcs11.CKA_EC_PARAMS);
  const algorithm = sequence(objectIdentifier("1.2.840.10045.2.1"), parameters);
  return sequence(algorithm, bitString(point.content));
}

/** PKCS#11 gives r and s one after the other, X.509 wants a SEQUENCE of two INTEGERs (RFC 5480 section 2.1.1). */
function ecdsaSignature(raw: Uint8Array): Uint8Array {
  const half = raw.length / 2;
  return sequence(unsignedInteger(raw.subarray(0, half)), unsignedInteger(raw.subarray(half)));
}
