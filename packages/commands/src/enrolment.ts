import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { crlPlace, crlStatus } from "./foreign-cas.ts";
import { attribute, deviceSubject, longText, milliseconds, nothing } from "./forms.ts";

export const manufacturer = z.strictObject({
  name: z.string().meta({ examples: ["acme"] }),
  fingerprint: z.string().meta({ description: "SHA-256 of the CA certificate in lower-case hex" }),
  notAfter: milliseconds,
  crl: crlStatus.exactOptional(),
});

const manufacturerName = attribute("the maker's name", "acme");

export const enrolmentCommands = {
  "device.code": {
    summary: "make a one-time code with which a device can enrol",
    role: "operator",
    route: "POST /devices/{subject}/enrolment-codes",
    isShownOnce: true,
    arguments: z.strictObject({
      subject: deviceSubject,
      validMinutes: z
        .int()
        .min(1)
        .max(10_080)
        .exactOptional()
        .meta({
          description: "how long it is good for (default 60 minutes)",
          examples: [60],
        }),
    }),
    result: z.strictObject({
      subject: deviceSubject,
      code: z.string().meta({ description: "shown once; control keeps only a hash of it" }),
      expiresAt: milliseconds,
    }),
  },
  "manufacturer.add": {
    summary:
      "trust a maker's CA: devices may enrol with the certificates their maker gave them (IDevID)",
    role: "security-officer",
    route: "POST /manufacturers",
    approval: "second-person",
    arguments: z.strictObject({
      name: manufacturerName,
      certificate: longText.meta({
        description: "the CA that signs the maker's device identities, in PEM",
      }),
      crl: crlPlace.exactOptional(),
    }),
    result: manufacturer,
  },
  "manufacturer.list": {
    summary: "list the makers whose certificates let a device enrol",
    role: "viewer",
    route: "GET /manufacturers",
    arguments: nothing,
    result: z.strictObject({ manufacturers: z.array(manufacturer) }),
  },
  "manufacturer.remove": {
    summary: "trust a maker's CA no more; devices that enrolled with it stay",
    role: "security-officer",
    route: "DELETE /manufacturers/{name}",
    arguments: z.strictObject({ name: manufacturerName }),
    result: manufacturer,
  },
} as const satisfies CommandTable;
