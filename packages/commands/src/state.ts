import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { nothing } from "./forms.ts";

const keyId = z.string().meta({ description: "the id of a data key", examples: ["1f0c9a3e"] });

export const stateCommands = {
  "state.rekey": {
    summary:
      "seal what control and the brokers keep under new keys while they serve, and destroy the former ones",
    role: "security-officer",
    route: "POST /state/rekey",
    arguments: nothing,
    result: z.strictObject({
      current: keyId,
      destroyed: z.array(keyId),
      brokers: z
        .array(z.strictObject({ current: keyId, destroyed: z.array(keyId) }))
        .meta({ description: "the brokers that have done so too" }),
      unconfirmed: z.int().meta({ description: "brokers of which it is not known" }),
    }),
  },
} as const satisfies CommandTable;
