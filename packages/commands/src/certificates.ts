import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { longText, subjectId } from "./forms.ts";
import { certificateSummary } from "./subjects.ts";

export const certificateCommands = {
  credential: {
    summary: "issue a certificate for a subject and bind it to the record",
    role: "operator",
    route: "POST /subjects/{subject}/certificates",
    arguments: z.strictObject({
      subject: subjectId,
      certificateRequest: longText.meta({
        description:
          "a PKCS#10 request in PEM; only its public key and proof of possession are used",
      }),
    }),
    result: z.strictObject({
      certificateChain: z.string().meta({ description: "PEM: the certificate, then its issuer" }),
      trustAnchors: z.string().meta({ description: "PEM of the root CAs" }),
      certificate: certificateSummary,
    }),
  },
} as const satisfies CommandTable;
