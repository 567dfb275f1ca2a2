import { randomBytes } from "node:crypto";
import { printable } from "@wardmq/events";
import type { KeyEnvironment, KeyProvider, ProviderDescription } from "./key-provider.ts";
import { wrongKey } from "./local-provider.ts";
import { type Handle, Pkcs11Token, refused, type Template } from "./pkcs11-token.ts";
import { parsePkcs11Uri } from "./pkcs11-uri.ts";

type Description = Extract<ProviderDescription, { name: "pkcs11" }>;

const nonceLength = 12;
const tagLength = 16;

/** A key-encryption key that never leaves a PKCS#11 token: AES-256, wraps with CKM_AES_GCM. */
export function pkcs11Provider(
  description: Description,
  environment: KeyEnvironment,
  folder: string,
): KeyProvider {
  const { token, object } = openToken(description, environment, folder);
  const key = token.findKey(secretKey(token), object);
  if (key !== undefined) return providerOf(description, token, key);
  throw refused(
    `the token holds no key ${printable(object, 80)}`,
    "plug in the token that the key file was made with",
  );
}

/** Takes the key of this name, or makes it in the token; `made` gets what undoes that. */
export function newPkcs11Provider(
  description: Description,
  environment: KeyEnvironment,
  folder: string,
  made: (undo: () => void) => void,
): KeyProvider {
  const { token, object } = openToken(description, environment, folder);
  const found = token.findKey(secretKey(token), object);
  const key = found ?? generateKey(token, object);
  if (found === undefined) made(token.undoOf(key));
  return providerOf(description, token, key);
}

function openToken({ uri }: Description, environment: KeyEnvironment, folder: string) {
  const parsed = parsePkcs11Uri(uri);
  return { token: Pkcs11Token.open(parsed, environment, folder), object: parsed.object };
}

function secretKey({ pkcs11 }: Pkcs11Token): Template {
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
  ];
}

function generateKey(token: Pkcs11Token, label: string): Handle {
  const { pkcs11, module, session } = token;
  return module.C_GenerateKey(session, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    ...secretKey(token),
    { type: pkcs11.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11.CKA_LABEL, value: label },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
    { type: pkcs11.CKA_ENCRYPT, value: true },
    { type: pkcs11.CKA_DECRYPT, value: true },
  ]);
}

function providerOf(description: Description, token: Pkcs11Token, key: Handle): KeyProvider {
  const { pkcs11, module, session } = token;
  const mechanism = (iv: Buffer, associatedData: Uint8Array) => ({
    mechanism: pkcs11.CKM_AES_GCM,
    parameter: {
      type: pkcs11.CK_PARAMS_AES_GCM,
      iv,
      aad: Buffer.from(associatedData),
      ivBits: nonceLength * 8,
      tagBits: tagLength * 8,
    },
  });
  return {
    description,
    wrap: (plain, associatedData) => {
      const nonce = randomBytes(nonceLength);
      module.C_EncryptInit(session, mechanism(nonce, associatedData), key);
      const room = Buffer.alloc(plain.length + tagLength);
      return Buffer.concat([nonce, module.C_Encrypt(session, Buffer.from(plain), room)]);
    },
    unwrap: (wrapped, associatedData) => {
      const body = Buffer.from(wrapped.subarray(nonceLength));
      const hint = "plug in the token that the key file was made with";
      if (body.length <= tagLength) throw wrongKey(hint);
      const nonce = Buffer.from(wrapped.subarray(0, nonceLength));
      module.C_DecryptInit(session, mechanism(nonce, associatedData), key);
      try {
        return module.C_Decrypt(session, body, Buffer.alloc(body.length));
      } catch (cause) {
        throw wrongKey(hint, cause);
      }
    },
  };
}
