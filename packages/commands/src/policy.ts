import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { milliseconds, nothing } from "./forms.ts";

const policyFile = z.strictObject({ name: z.string(), text: z.string() });
const reason = z.string().min(1).max(1000).meta({ description: "why, for who reads it later" });

export const policyVersion = z.strictObject({
  version: z.int().min(1),
  at: milliseconds,
  actor: z.string(),
  reason: z.string(),
  digest: z.string().meta({ description: "SHA-256 of the files, in lower-case hex" }),
});

const applied = z.strictObject({
  version: z.int().min(1),
  changed: z.boolean().meta({ description: "false where this policy was in force already" }),
});

export const policyCommands = {
  "policy.current": {
    summary: "the policy in force, as it was written",
    role: "viewer",
    route: "GET /policy",
    arguments: nothing,
    result: policyVersion.extend({ files: z.array(policyFile) }),
  },
  "policy.versions": {
    summary: "list the versions of the policy, newest first",
    role: "viewer",
    route: "GET /policy/versions",
    arguments: nothing,
    result: z.strictObject({ versions: z.array(policyVersion) }),
  },
  "policy.apply": {
    summary: "take the policy files over as they are, if they are still those that were looked at",
    role: "security-officer",
    route: "POST /policy/apply",
    approval: "second-person",
    arguments: z.strictObject({
      digest: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .meta({ description: "of the files that were looked at", examples: ["0".repeat(64)] }),
      reason,
    }),
    result: applied,
  },
  "policy.rollback": {
    summary: "take a former version of the policy back: its files replace those that are there",
    role: "security-officer",
    route: "POST /policy/rollback",
    approval: "second-person",
    arguments: z.strictObject({ version: z.int().min(1), reason }),
    result: applied,
  },
} as const satisfies CommandTable;
