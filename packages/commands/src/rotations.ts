import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { longText, milliseconds } from "./forms.ts";

/** What can be replaced by a successor without a dropped session. */
export const rotatingThings = ["issuing-ca", "root", "feed-key"] as const;

const what = z.enum(rotatingThings).meta({ description: "what is replaced" });

const status = z.strictObject({
  what,
  step: z.enum(["idle", "staged", "used"]),
  meaning: z.string().meta({ description: "what the step means, in a sentence" }),
  startedAt: milliseconds.exactOptional(),
  actor: z.string().exactOptional(),
  waitsFor: z.string().exactOptional().meta({
    description: "why the next step can not be taken yet",
  }),
});

export const rotationCommands = {
  "rotation.status": {
    summary: "show where a rotation stands",
    role: "viewer",
    route: "GET /rotations/{what}",
    arguments: z.strictObject({ what }),
    result: status,
  },
  "rotation.step": {
    summary: "take the next step of a rotation: stage the successor, use it, let the former one go",
    role: "security-officer",
    route: "POST /rotations/{what}/step",
    approval: "second-person",
    arguments: z.strictObject({ what }),
    result: status,
  },
  "rotation.undo": {
    summary: "take the last step of a rotation back",
    role: "security-officer",
    route: "POST /rotations/{what}/undo",
    approval: "second-person",
    arguments: z.strictObject({ what }),
    result: status,
  },
  "root-key.remove": {
    summary: "move the key of the root CA out of the deployment, to be kept offline",
    role: "local",
    arguments: z.strictObject({ to: longText }),
    result: z.strictObject({ to: z.string() }),
  },
  "root-key.restore": {
    summary: "bring the key of the root CA back, for a rotation",
    role: "local",
    arguments: z.strictObject({ from: longText }),
    result: z.strictObject({ from: z.string() }),
  },
} as const satisfies CommandTable;
