import { z } from "zod";
import type { CommandTable } from "./command.ts";

export const eventCommands = {
  events: {
    summary: "print the last security events, oldest first",
    role: "viewer",
    route: "GET /events",
    arguments: z.strictObject({
      last: z
        .int()
        .min(1)
        .max(10_000)
        .meta({ description: "how many", examples: [20] }),
    }),
    result: z.strictObject({
      events: z.array(z.unknown()).meta({ description: "as docs/events.md has them" }),
    }),
  },
} as const satisfies CommandTable;
