import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { milliseconds, nothing } from "./forms.ts";

const policyFile = z.strictObject({
  name: z
    .string()
    .regex(/^(policy\.yaml|policy\/[\w-]+\.ya?ml)$/)
    .meta({ description: "as it stands in the deployment", examples: ["policy.yaml"] }),
  text: z.string().max(4_194_304),
});
const policyFiles = z.array(policyFile).min(1).max(1_000);
const reason = z.string().min(1).max(1000).meta({ description: "why, for who reads it later" });
const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ description: "SHA-256 of the files, in lower-case hex", examples: ["0".repeat(64)] });

const policyVersion = z.strictObject({
  version: z.int().min(1),
  at: milliseconds,
  actor: z.string(),
  reason: z.string(),
  digest: z.string().meta({ description: "SHA-256 of the files, in lower-case hex" }),
});

const writtenVersion = policyVersion.extend({ files: z.array(policyFile) });

const replaces = z.int().min(1).optional().meta({
  description: "the version in force that the difference was shown to; another one refuses",
});

const applied = z.strictObject({
  version: z.int().min(1),
  changed: z.boolean().meta({ description: "false where this policy was in force already" }),
});

const outcome = z.strictObject({
  effect: z.enum(["Permit", "Deny"]),
  ruleId: z.string().optional(),
  terms: z
    .string()
    .optional()
    .meta({ description: "what messages must keep to, where both permit" }),
});

const trial = z.strictObject({
  digest,
  files: z.array(policyFile),
  actor: z.string(),
  reason: z.string(),
  startedAt: milliseconds,
  until: milliseconds,
  endedAt: milliseconds.optional(),
  countedSince: milliseconds,
  decisions: z.int().min(0).meta({ description: "decisions that both policies made" }),
  untried: z.array(z.string()).meta({
    description:
      "what differs and is not tried: claims, requirements, limits, phi, topics of commands",
  }),
  uncounted: z.int().min(0).meta({ description: "differences for which there was no room" }),
  differences: z.array(
    z.strictObject({
      act: z.enum(["publish", "subscribe", "receive"]),
      kind: z.enum(["device", "service", "person", "app"]),
      topic: z.string().meta({ description: "with attributes of the subject in braces" }),
      inForce: outcome,
      onTrial: outcome,
      count: z.int().min(0),
      example: z.strictObject({ subject: z.string(), topic: z.string() }),
    }),
  ),
});

const shadow = z.strictObject({
  state: z.enum(["none", "running", "ended"]),
  trial: trial.optional(),
});

export const policyCommands = {
  "policy.current": {
    summary: "the policy in force, as it was written",
    role: "viewer",
    route: "GET /policy",
    arguments: nothing,
    result: writtenVersion,
  },
  "policy.versions": {
    summary: "list the versions of the policy, newest first",
    role: "viewer",
    route: "GET /policy/versions",
    arguments: nothing,
    result: z.strictObject({ versions: z.array(policyVersion) }),
  },
  "policy.version": {
    summary: "a former version of the policy, or the one in force, as it was written",
    role: "viewer",
    route: "GET /policy/versions/{version}",
    arguments: z.strictObject({ version: z.int().min(1) }),
    result: writtenVersion,
  },
  "policy.apply": {
    summary:
      "take a policy over: the files that lie there, if they are still those that were looked at, or others in their place",
    role: "security-officer",
    route: "POST /policy/apply",
    approval: "second-person",
    arguments: z.strictObject({
      digest: digest.meta({ description: "of the files that were looked at" }),
      files: policyFiles
        .optional()
        .meta({ description: "put in place of those that are there; left out, those count" }),
      replaces,
      reason,
    }),
    result: applied,
  },
  "policy.rollback": {
    summary: "take a former version of the policy back: its files replace those that are there",
    role: "security-officer",
    route: "POST /policy/rollback",
    approval: "second-person",
    arguments: z.strictObject({ version: z.int().min(1), replaces, reason }),
    result: applied,
  },
  "policy.shadow": {
    summary: "what the policy on trial would decide otherwise, on real traffic",
    role: "viewer",
    route: "GET /policy/shadow",
    arguments: nothing,
    result: shadow,
  },
  "policy.shadow.start": {
    summary: "put a policy on trial: it is decided beside the one in force, and changes nothing",
    role: "security-officer",
    route: "POST /policy/shadow",
    arguments: z.strictObject({
      files: policyFiles,
      seconds: z.int().min(1).max(2_592_000),
      reason,
    }),
    result: shadow,
  },
  "policy.shadow.end": {
    summary: "end the trial of a policy before its time",
    role: "security-officer",
    route: "POST /policy/shadow/end",
    arguments: nothing,
    result: shadow,
  },
  "policy.usage": {
    summary: "when each rule was first in force and last used",
    role: "viewer",
    route: "GET /policy/usage",
    arguments: nothing,
    result: z.strictObject({
      rules: z.array(
        z.strictObject({
          role: z.string(),
          action: z.enum(["publish", "subscribe"]),
          filter: z.string(),
          since: milliseconds,
          lastUsed: milliseconds.optional().meta({ description: "the day; absent: never" }),
        }),
      ),
    }),
  },
} as const satisfies CommandTable;
