import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { longText, nothing } from "./forms.ts";

export const deploymentCommands = {
  init: {
    summary: "make a deployment in a new or empty folder: settings, policy, CAs",
    role: "local",
    arguments: z.strictObject({
      org: longText,
      environment: longText,
      hosts: z.array(longText).max(1000),
      keys: z.string().max(1000).optional().meta({
        description:
          "the provider of key-encryption keys: file (when absent), credentials:NAME, passphrase, PKCS#11 URI",
      }),
      caToken: z.string().max(1000).optional().meta({
        description:
          "a PKCS#11 URI: the keys of the CAs are made in this token, as OBJECT-root and OBJECT-issuing",
      }),
    }),
    result: z.strictObject({
      trustDomain: z.string(),
      hosts: z.array(z.string()),
      rootFingerprint: z.string(),
    }),
  },
  reload: {
    summary: "read wardmq.yaml, policy.yaml and the certificates of the CA again",
    role: "security-officer",
    route: "POST /reload",
    arguments: nothing,
    result: z.strictObject({
      changed: z.array(z.string()).meta({ description: "the files that changed something" }),
    }),
  },
} as const satisfies CommandTable;
