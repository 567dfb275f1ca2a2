import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { deviceFields, effect, ifMatch, query, reason, subjectStates } from "./device-fields.ts";
import { attribute, deviceId, milliseconds, subjectId } from "./forms.ts";

export const certificateSummary = z.strictObject({
  fingerprint: z.string().meta({ description: "SHA-256 of the DER in lower-case hex" }),
  serialNumber: z.string().meta({ description: "as OpenSSL prints it", examples: ["0A1B2C"] }),
  notAfter: milliseconds,
  state: z.enum(["active", "superseded", "revoked"]),
});

export const subjectSummary = z.strictObject({
  id: subjectId,
  kind: z.enum(["device", "service"]),
  state: z.enum(subjectStates),
  attributes: z.record(z.string(), z.string()).meta({ examples: [{ site: "main", ward: "icu" }] }),
  details: z
    .record(z.string(), z.string())
    .meta({ description: "text for people, which no policy uses", examples: [{ serial: "SN 1" }] }),
  tags: z.array(z.string()),
  certificates: z.array(certificateSummary),
});

export const subjectCommands = {
  "device.add": {
    summary: "register a device",
    role: "operator",
    route: "POST /devices",
    arguments: z.strictObject({
      ...deviceFields,
      id: deviceId.exactOptional(),
    }),
    isRecord: true,
    result: subjectSummary,
  },
  "service.add": {
    summary: "register a service: an application that is no device",
    role: "operator",
    route: "POST /services",
    arguments: z.strictObject({
      name: attribute("the service's name", "dashboard"),
      org: deviceFields.org,
    }),
    isRecord: true,
    result: subjectSummary,
  },
  list: {
    summary: "list devices and services with their certificates: all, or those it is true of",
    role: "viewer",
    route: "GET /subjects",
    arguments: z.strictObject({
      ...query,
      limit: z
        .int()
        .min(1)
        .max(1_000)
        .exactOptional()
        .meta({ description: "how many at most (default 1000)", examples: [100] }),
      cursor: z
        .string()
        .max(200)
        .exactOptional()
        .meta({ description: "`next` of the page before" }),
    }),
    result: z.strictObject({
      subjects: z.array(subjectSummary),
      next: z
        .string()
        .exactOptional()
        .meta({ description: "the cursor of the page that follows; absent on the last one" }),
    }),
  },
  revoke: {
    summary:
      "revoke a subject and its certificates, and end its connections now; the certificates never get in again",
    role: "operator",
    route: "POST /subjects/{subject}/revoke",
    arguments: z.strictObject({ subject: subjectId, because: reason.exactOptional(), ifMatch }),
    result: effect.omit({ subjects: true }).extend({ subject: subjectId }),
  },
} as const satisfies CommandTable;
