import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { milliseconds, nothing } from "./forms.ts";

const approvalId = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .meta({ description: "the id of the approval", examples: ["0123456789abcdef"] });

export const approval = z.strictObject({
  id: approvalId,
  command: z.string().meta({ examples: ["operator.add"] }),
  arguments: z.record(z.string(), z.unknown()),
  requestedBy: z.string().meta({ examples: ["operator:alice"] }),
  requestedAt: milliseconds,
  expiresAt: milliseconds,
  state: z.enum(["waiting", "approved", "refused", "expired"]),
  decidedBy: z
    .string()
    .exactOptional()
    .meta({ examples: ["operator:bob"] }),
  decidedAt: milliseconds.exactOptional(),
});

export const approvalCommands = {
  "approvals.list": {
    summary: "list the commands that wait for a second person, and what became of former ones",
    role: "viewer",
    route: "GET /approvals",
    arguments: nothing,
    result: z.strictObject({ approvals: z.array(approval) }),
  },
  "approvals.approve": {
    summary: "approve a command that another person gave, and do it",
    role: "security-officer",
    route: "POST /approvals/{id}/approve",
    arguments: z.strictObject({ id: approvalId }),
    result: z.strictObject({
      approval,
      result: z.unknown().meta({ description: "the result of the command that was approved" }),
    }),
  },
  "approvals.refuse": {
    summary: "refuse a command that waits for a second person",
    role: "security-officer",
    route: "POST /approvals/{id}/refuse",
    arguments: z.strictObject({ id: approvalId }),
    result: approval,
  },
} as const satisfies CommandTable;
