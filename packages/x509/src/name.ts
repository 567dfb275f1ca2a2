import {
  asciiString,
  contextTag,
  DerReader,
  element,
  elementsOf,
  objectIdentifier,
  objectIdentifierText,
  sequence,
  tags,
} from "./der.ts";
import { ipAddressOctets } from "./ip-address.ts";
import { X509Error } from "./x509-error.ts";

const attributeTypes = {
  organizationName: "2.5.4.10",
  organizationalUnitName: "2.5.4.11",
  commonName: "2.5.4.3",
  serialNumber: "2.5.4.5",
} as const;

/** A distinguished name with one value for each attribute type, in this order. */
export type NameAttributes = {
  readonly [Type in keyof typeof attributeTypes]?: string;
};

/** Name of RFC 5280 section 4.1.2.4, in DER. */
export function encodeName(attributes: NameAttributes): Uint8Array {
  const types = Object.keys(attributeTypes) as (keyof typeof attributeTypes)[];
  const rdns = types.flatMap((type) => {
    const value = attributes[type];
    if (value === undefined) return [];
    // ub-organization-name, ub-organizational-unit-name and ub-common-name are 64.
    if (value.length < 1 || value.length > 64) {
      throw new X509Error("ERR_X509_VALUE", `${type} is not 1 to 64 characters`);
    }
    const oid = objectIdentifier(attributeTypes[type]);
    const tag = type === "serialNumber" ? tags.printableString : tags.utf8String; // X.520 section 6.2.9
    return [element(tags.set, sequence(oid, asciiString(tag, value)))];
  });
  return sequence(...rdns);
}

/** The values of one attribute type in a Name, those in UTF8String, PrintableString and IA5String. */
export function nameValues(name: Uint8Array, type: keyof NameAttributes): readonly string[] {
  const outer = new DerReader(name);
  const rdns = elementsOf(outer.read(tags.sequence).content);
  outer.end();
  return rdns.flatMap(({ content }) =>
    elementsOf(content).flatMap((attribute) => {
      const reader = new DerReader(attribute.content);
      const oid = objectIdentifierText(reader.read(tags.objectIdentifier));
      const value = reader.read();
      reader.end();
      return oid === attributeTypes[type] && textTags.has(value.tag) ? [textOf(value.content)] : [];
    }),
  );
}

const textTags: ReadonlySet<number> = new Set([
  tags.utf8String,
  tags.printableString,
  tags.ia5String,
]);

function textOf(octets: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    throw new X509Error("ERR_X509_DER", "not UTF-8");
  }
}

/** A name of subjectAltName (RFC 5280 section 4.2.1.6). */
export type GeneralName =
  | { readonly uri: string }
  | { readonly dns: string }
  | { readonly ip: string };

const uriTag = contextTag(6, "primitive");
const dnsTag = contextTag(2, "primitive");
const ipTag = contextTag(7, "primitive");

export function encodeGeneralName(name: GeneralName): Uint8Array {
  if ("uri" in name) return asciiString(uriTag, name.uri);
  if ("dns" in name) return asciiString(dnsTag, name.dns);
  const octets = ipAddressOctets(name.ip);
  if (octets === undefined) throw new X509Error("ERR_X509_VALUE", "not an IP address");
  return element(ipTag, octets);
}

/** The name by which a client asks for a host: an IP address, else a DNS name. */
export function hostGeneralName(host: string): GeneralName {
  if (ipAddressOctets(host) !== undefined) return { ip: host };
  const label = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;
  if (host.length > 253 || !host.split(".").every((part) => label.test(part))) {
    throw new X509Error("ERR_X509_VALUE", "not a host name or an IP address");
  }
  return { dns: host };
}

/** The names of a subjectAltName extension value that are URIs, or those that are DNS names. */
export function subjectAltNames(value: Uint8Array, kind: "uri" | "dns"): readonly string[] {
  const tag = kind === "uri" ? uriTag : dnsTag;
  const outer = new DerReader(value);
  const names = elementsOf(outer.read(tags.sequence).content);
  outer.end();
  return names.filter((name) => name.tag === tag).map(({ content }) => textOf(content));
}

/** The DER of each GeneralName of a subjectAltName extension value, for comparing byte by byte. */
export function generalNamesOf(value: Uint8Array): readonly Uint8Array[] {
  const outer = new DerReader(value);
  const names = elementsOf(outer.read(tags.sequence).content);
  outer.end();
  return names.map(({ bytes }) => bytes);
}
