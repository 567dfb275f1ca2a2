import { z } from "zod";
import { type CommandTable, roles } from "./command.ts";
import { attribute, longText, nothing, operatorId, personSubject } from "./forms.ts";
import { certificateSummary } from "./subjects.ts";

export const operatorSummary = z.strictObject({
  id: operatorId,
  role: z.enum(roles),
  state: z.string().meta({ examples: ["active"] }),
  person: personSubject.exactOptional(),
  certificates: z.array(certificateSummary),
});

export const operatorCommands = {
  "operator.add": {
    summary: "register an operator: a person who may use the API in a role",
    role: "security-officer",
    route: "POST /operators",
    approval: "second-person",
    arguments: z.strictObject({
      name: attribute("the operator's name", "alice"),
      role: z.enum(roles).meta({ description: "what the operator may do", examples: ["operator"] }),
    }),
    result: operatorSummary,
  },
  "operator.link": {
    summary: "say which person's tokens are an operator's: both are one person then",
    role: "security-officer",
    route: "PUT /operators/{operator}/person",
    approval: "second-person",
    arguments: z.strictObject({
      operator: operatorId,
      person: z.union([personSubject, z.null()]).meta({
        description: "null takes the link away",
        examples: ["person:hospital_4f1c"],
      }),
    }),
    result: operatorSummary,
  },
  "operator.list": {
    summary: "list operators with their roles and certificates",
    role: "viewer",
    route: "GET /operators",
    arguments: nothing,
    result: z.strictObject({ operators: z.array(operatorSummary) }),
  },
  "operator.revoke": {
    summary: "revoke an operator and the operator's certificates",
    role: "security-officer",
    route: "POST /operators/{operator}/revoke",
    arguments: z.strictObject({ operator: operatorId }),
    result: operatorSummary,
  },
  /** Whoever could do this from afar could be anybody, and so be the second person of an approval. */
  "operator.credential": {
    summary: "issue a certificate for an operator",
    role: "local",
    arguments: z.strictObject({ operator: operatorId, certificateRequest: longText }),
    result: z.strictObject({
      certificateChain: z.string(),
      trustAnchors: z.string(),
      certificate: certificateSummary,
    }),
  },
} as const satisfies CommandTable;
