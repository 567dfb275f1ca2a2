import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { nothing } from "./forms.ts";

const keyId = z.string().meta({ description: "the id of a data key", examples: ["1f0c9a3e"] });

export const stateCommands = {
  "state.rekey": {
    summary:
      "seal the state of control under a new key while it serves, and destroy the former keys",
    role: "security-officer",
    route: "POST /state/rekey",
    arguments: nothing,
    result: z.strictObject({ current: keyId, destroyed: z.array(keyId) }),
  },
} as const satisfies CommandTable;
