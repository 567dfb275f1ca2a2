import { identifyingFields } from "@wardmq/x509";
import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { effect } from "./device-fields.ts";
import { attribute, longText, milliseconds, nothing } from "./forms.ts";

const name = attribute("the name of the foreign CA", "acme-fleet");
const site = attribute("devices of this site only (default: of every site)", "north");
const field = z.enum(Object.keys(identifyingFields) as (keyof typeof identifyingFields)[]).meta({
  description: `what of a certificate says whose it is: ${Object.entries(identifyingFields)
    .map(([key, meaning]) => `${key}: ${meaning}`)
    .join("; ")}`,
});

const mapping = z
  .discriminatedUnion("equals", [
    z.strictObject({ field, equals: z.literal("uuid") }),
    z.strictObject({ field, equals: z.literal("serial"), maker: z.string().min(1).max(128) }),
  ])
  .meta({
    description:
      "the field equals the uuid of the record, or the serial number that this maker gave the device",
    examples: [{ field: "common-name", equals: "serial", maker: "acme" }],
  });

export const crlPlace = z
  .string()
  .min(1)
  .max(2_048)
  .meta({
    description:
      "where the CRL of the CA lies: an absolute path on control's machine, or an address (HTTP, HTTPS)",
    examples: ["http://pki.acme.example/devices.crl"],
  });

/** What is known of the CRL of a CA that is not ours. */
export const crlStatus = z.strictObject({
  source: z.string().meta({ examples: ["http://pki.acme.example/devices.crl"] }),
  freshness: z.enum(["fresh", "ageing", "stale"]).meta({
    description: "ageing: half of its life is over; stale: nobody of the CA gets in",
  }),
  thisUpdate: milliseconds.exactOptional(),
  nextUpdate: milliseconds.exactOptional(),
  crlNumber: z.int().exactOptional(),
  revoked: z.int().exactOptional().meta({ description: "how many certificates it lists" }),
  readAt: milliseconds.exactOptional(),
  failure: z.string().exactOptional().meta({ description: "why the last reading came to nothing" }),
});

export const foreignCaSummary = z.strictObject({
  name,
  ca: z.string().meta({ description: "its id, in hex, as `list --ca` takes it" }),
  fingerprint: z.string().meta({ description: "SHA-256 of the CA certificate in lower-case hex" }),
  notAfter: milliseconds,
  site: site.exactOptional(),
  mapping,
  devices: z.int().meta({ description: "devices that have come with a certificate of it" }),
  crl: crlStatus,
});

const withEffect = effect
  .omit({ subjects: true, certificatesRevoked: true })
  .extend({ foreignCa: foreignCaSummary });

export const foreignCaCommands = {
  "foreign-ca.add": {
    summary:
      "let devices in with certificates of another CA: whom they are for, and where its CRL lies",
    role: "security-officer",
    route: "POST /foreign-cas",
    approval: "second-person",
    arguments: z.strictObject({
      name,
      certificate: longText.meta({
        description: "the CA that signs the certificates of the devices, in PEM",
      }),
      site: site.exactOptional(),
      mapping,
      crl: crlPlace,
    }),
    result: foreignCaSummary,
  },
  "foreign-ca.list": {
    summary: "list the foreign CAs with the state of their CRLs",
    role: "viewer",
    route: "GET /foreign-cas",
    arguments: nothing,
    result: z.strictObject({ foreignCas: z.array(foreignCaSummary) }),
  },
  "foreign-ca.show": {
    summary: "show a foreign CA and the state of its CRL",
    role: "viewer",
    route: "GET /foreign-cas/{name}",
    arguments: z.strictObject({ name }),
    result: foreignCaSummary,
  },
  "foreign-ca.refresh": {
    summary: "read the CRL of a foreign CA now, and end the connections of what it revokes",
    role: "operator",
    route: "POST /foreign-cas/{name}/refresh",
    arguments: z.strictObject({ name }),
    result: withEffect,
  },
  "foreign-ca.remove": {
    summary: "trust a foreign CA no more, and end the connections of its devices",
    role: "security-officer",
    route: "DELETE /foreign-cas/{name}",
    approval: "second-person",
    arguments: z.strictObject({ name }),
    result: withEffect,
  },
} as const satisfies CommandTable;
