import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { attribute, deviceId, milliseconds, nothing, subjectId } from "./forms.ts";

export const certificateSummary = z.strictObject({
  fingerprint: z.string().meta({ description: "SHA-256 of the DER in lower-case hex" }),
  serialNumber: z.string().meta({ description: "as OpenSSL prints it", examples: ["0A1B2C"] }),
  notAfter: milliseconds,
  state: z.enum(["active", "revoked"]),
});

export const subjectSummary = z.strictObject({
  id: subjectId,
  kind: z.enum(["device", "service", "person", "app"]),
  state: z.enum(["active", "revoked"]),
  attributes: z.record(z.string(), z.string()).meta({ examples: [{ site: "main", ward: "icu" }] }),
  certificates: z.array(certificateSummary),
});

export const subjectCommands = {
  "device.add": {
    summary: "register a device",
    role: "operator",
    route: "POST /devices",
    arguments: z.strictObject({
      site: attribute("where it stands: the site", "main"),
      ward: attribute("where it stands: the ward", "icu"),
      model: attribute("its model, for the policy", "bsm-100").exactOptional(),
      id: deviceId.exactOptional(),
    }),
    result: subjectSummary,
  },
  "service.add": {
    summary: "register a service: an application that is no device",
    role: "operator",
    route: "POST /services",
    arguments: z.strictObject({ name: attribute("the service's name", "dashboard") }),
    result: subjectSummary,
  },
  list: {
    summary: "list devices and services with their certificates",
    role: "viewer",
    route: "GET /subjects",
    arguments: nothing,
    result: z.strictObject({ subjects: z.array(subjectSummary) }),
  },
  revoke: {
    summary:
      "revoke a subject and its certificates, and end its connections now; the certificates never get in again",
    role: "operator",
    route: "POST /subjects/{subject}/revoke",
    arguments: z.strictObject({ subject: subjectId }),
    result: z.strictObject({
      subject: subjectId,
      certificatesRevoked: z.int(),
      brokers: z
        .array(z.strictObject({ connectionsClosed: z.int(), milliseconds: z.number() }))
        .meta({ description: "one for each broker that was connected; empty when none runs" }),
      unconfirmed: z.int().exactOptional().meta({
        description:
          "brokers that were connected but did not confirm within a second; absent when all did",
      }),
    }),
  },
} as const satisfies CommandTable;
