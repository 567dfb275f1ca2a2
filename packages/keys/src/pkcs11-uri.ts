import { KeysError } from "./keys-error.ts";

/**
 * The parts of a PKCS#11 URI (RFC 7512) that name one object: which library, which token, which object, and where the PIN
 * is. `pinSource` is `file:PATH` or, an extension of ours, `credential:NAME`.
 */
export interface Pkcs11Uri {
  readonly modulePath: string;
  readonly token: string;
  readonly object: string;
  readonly pinSource: string;
}

const fields = {
  token: "token",
  object: "object",
  "module-path": "modulePath",
  "pin-source": "pinSource",
} as const;

const pkcs11UriForm =
  "pkcs11:token=LABEL;object=LABEL?module-path=/PATH.so&pin-source=credential:NAME";

/** Each part exactly once, nothing else: a PIN in the URI itself would end up in a file. */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  const [, path = "", query = ""] = /^pkcs11:([^?]*)\?(.*)$/s.exec(text) ?? [];
  const parts = [...path.split(";"), ...query.split("&")].map(parsePart);
  const names = parts.map((part) => part?.[0]);
  const isWhole =
    parts.length === Object.keys(fields).length &&
    Object.keys(fields).every((name) => names.includes(name));
  const found = Object.fromEntries(parts.filter((part) => part !== undefined));
  const [token, object, modulePath, pinSource] = [
    found["token"],
    found["object"],
    found["module-path"],
    found["pin-source"],
  ];
  if (
    isWhole &&
    token &&
    object &&
    modulePath?.startsWith("/") &&
    pinSource?.match(/^(file|credential):./)
  )
    return { token, object, modulePath, pinSource };
  throw new KeysError(
    "ERR_KEY_PROVIDER",
    "the PKCS#11 URI does not say exactly which library, token, object and source of the PIN to use",
    `write ${pkcs11UriForm}`,
  );
}

function parsePart(part: string): readonly [string, string] | undefined {
  const at = part.indexOf("=");
  try {
    return at < 0 ? undefined : [part.slice(0, at), decodeURIComponent(part.slice(at + 1))];
  } catch {
    return undefined; // a % that stands for nothing
  }
}
