import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { milliseconds, nothing } from "./forms.ts";

/** What ends one day, and what stands in the way when it does. */
export const expiryClasses = [
  "device",
  "service",
  "operator",
  "server",
  "issuing CA",
  "root CA",
  "CRL",
] as const;

const caId = z.string().meta({
  description: "the key identifier of a CA, in hex",
  examples: ["6f1d2c9e0b7a4c3e8d5f1a2b3c4d5e6f70819203"],
});

const crls = z.strictObject({
  crls: z.array(
    z.strictObject({
      ca: caId,
      crlNumber: z.int(),
      thisUpdate: milliseconds,
      nextUpdate: milliseconds,
      revoked: z.int().meta({ description: "how many certificates it lists" }),
      der: z.string().meta({ description: "the CRL in DER, base64" }),
    }),
  ),
});

export const caCommands = {
  crl: {
    summary: "give the CRLs of the CAs, published anew",
    role: "viewer",
    route: "GET /crls",
    arguments: nothing,
    result: crls,
  },
  "root.crl": {
    summary: "have the root CA sign a new CRL, of issuing CAs that were left in an emergency",
    role: "security-officer",
    route: "POST /crls/root",
    approval: "second-person",
    arguments: nothing,
    result: crls,
  },
  horizon: {
    summary:
      "show what expires when, by class and day; a day with over 5 % of a class is a cluster",
    role: "viewer",
    route: "GET /horizon",
    arguments: nothing,
    result: z.strictObject({
      days: z.array(
        z.strictObject({
          day: z.string().meta({ description: "ISO 8601, UTC", examples: ["2027-01-31"] }),
          class: z.enum(expiryClasses),
          expiring: z.int(),
          share: z.number().meta({ description: "of all that are active in the class, 0 to 1" }),
          isCluster: z.boolean(),
        }),
      ),
    }),
  },
} as const satisfies CommandTable;
