import { X509Error } from "./x509-error.ts";

declare const brand: unique symbol;

/** A value that may stand in a topic, an identity or a rule without ever meaning more than itself. */
export type Attribute = string & { readonly [brand]: "Attribute" };

/** The closed alphabet of attributes: `[A-Za-z0-9_-]{1,64}`. */
export function parseAttribute(text: string): Attribute {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(text)) {
    throw new X509Error("ERR_X509_ATTRIBUTE", "use 1 to 64 of A-Z a-z 0-9 _ -");
  }
  return text as Attribute;
}

/** A UUID in lower case with its hyphens, any version. */
export function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(text);
}
