import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { longText, milliseconds } from "./forms.ts";

/** What can be replaced by a successor without a dropped session. */
export const rotatingThings = ["issuing-ca", "root", "feed-key", "server"] as const;

/** In their order. */
export const rotationSteps = ["staged", "used", "retired"] as const;

const what = z.enum(rotatingThings).meta({ description: "what is replaced" });

const server = z.strictObject({
  serialNumber: z.string(),
  notBefore: milliseconds,
  notAfter: milliseconds,
  isOurs: z.boolean().meta({ description: "control has signed it; else it is the operator's own" }),
  renewalAt: milliseconds.exactOptional(),
});

const status = z.strictObject({
  what,
  step: z.enum(["idle", "staged", "used"]),
  meaning: z.string().meta({ description: "what the step means, in a sentence" }),
  startedAt: milliseconds.exactOptional(),
  actor: z.string().exactOptional(),
  waitsFor: z.string().exactOptional().meta({
    description: "why the next step can not be taken yet",
  }),
  servers: z.array(server).exactOptional().meta({
    description: "what each broker that is connected shows, when it is about the server",
  }),
});

const fleetStatus = z.strictObject({
  isRunning: z.boolean(),
  because: z.string().exactOptional(),
  startedAt: milliseconds.exactOptional(),
  deadline: milliseconds.exactOptional(),
  renewed: z.int().meta({ description: "devices that have a certificate of the new CA" }),
  told: z.int().meta({ description: "devices that were told and have not renewed" }),
  waiting: z.int().meta({ description: "devices that have not been told yet" }),
  others: z.int().meta({ description: "services and operators that have to be renewed by hand" }),
});

export const rotationCommands = {
  "fleet.rotate": {
    summary:
      "emergency: move every device to a new issuing CA with a new key, in waves, and let the former one go",
    role: "security-officer",
    route: "POST /fleet/rotate",
    approval: "second-person",
    arguments: z.strictObject({
      because: z.string().min(1).max(500).meta({ description: "why; devices and events say it" }),
      deadline: milliseconds.exactOptional().meta({
        description: "from here on the former CA gets nobody in; without it, when all have renewed",
      }),
    }),
    result: fleetStatus,
  },
  "fleet.status": {
    summary: "show how far the rotation of the fleet is",
    role: "viewer",
    route: "GET /fleet",
    arguments: z.strictObject({}),
    result: fleetStatus,
  },
  "rotation.status": {
    summary: "show where a rotation stands",
    role: "viewer",
    route: "GET /rotations/{what}",
    arguments: z.strictObject({ what }),
    result: status,
  },
  "rotation.step": {
    summary:
      "take the next step of a rotation: stage the successor, use it, let the former one go; the server has one step",
    role: "security-officer",
    route: "POST /rotations/{what}/step",
    approval: "second-person",
    arguments: z.strictObject({
      what,
      to: z.enum(rotationSteps).exactOptional().meta({
        description: "the step that is meant: one that has been taken already is not taken again",
      }),
    }),
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
    summary: "bring the key of the root CA back, for a rotation or its CRL",
    role: "local",
    arguments: z.strictObject({ from: longText }),
    result: z.strictObject({ from: z.string() }),
  },
} as const satisfies CommandTable;
