import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { sentence } from "./device-fields.ts";
import { attribute, milliseconds, nothing, personSubject } from "./forms.ts";

const useId = z
  .string()
  .regex(/^[0-9a-f]{16}$/)
  .meta({ description: "as `break-glass.list` shows it", examples: ["0123456789abcdef"] });

/** Something that was taken in an emergency. */
export const breakGlassUse = z.strictObject({
  id: useId,
  name: z.string().meta({ examples: ["on-call"] }),
  person: personSubject,
  /** Who that is in the API: the person, or the operator the person is linked to. */
  actor: z.string().meta({ examples: ["operator:alice"] }),
  apiRole: z.string().exactOptional(),
  policyRole: z.string().exactOptional(),
  reason: z.string(),
  takenAt: milliseconds,
  until: milliseconds,
  endedAt: milliseconds.exactOptional(),
  endedBy: z.string().exactOptional(),
  reviewedAt: milliseconds.exactOptional(),
  reviewedBy: z.string().exactOptional(),
  finding: z.string().exactOptional(),
  state: z.enum(["active", "ended", "reviewed"]),
});

export const breakGlassCommands = {
  "break-glass.take": {
    summary: "take a role for an emergency: at once, for a limited time, and with an alarm",
    role: "authenticated",
    route: "POST /break-glass",
    arguments: z.strictObject({
      name: attribute("what is taken, as issuers.yaml names it", "on-call"),
      minutes: z
        .int()
        .min(1)
        .max(480)
        .exactOptional()
        .meta({
          description:
            "a whole number of minutes, up to what issuers.yaml allows (left out: all of them)",
          examples: [30],
        }),
      because: sentence(
        "why, one line of 1 to 500 visible characters, nothing about a patient",
        "the pump gateway is down",
      ),
    }),
    result: breakGlassUse,
  },
  "break-glass.list": {
    summary: "list what was taken in emergencies, what has to be reviewed first",
    role: "viewer",
    route: "GET /break-glass",
    arguments: nothing,
    result: z.strictObject({ uses: z.array(breakGlassUse) }),
  },
  "break-glass.end": {
    summary: "end a role that was taken for an emergency: one's own, or as a security officer",
    role: "authenticated",
    route: "POST /break-glass/{id}/end",
    arguments: z.strictObject({ id: useId }),
    result: breakGlassUse,
  },
  "break-glass.review": {
    summary: "say what was found of a role that another person took for an emergency",
    role: "security-officer",
    route: "POST /break-glass/{id}/review",
    arguments: z.strictObject({
      id: useId,
      finding: sentence(
        "what was found, one line of 1 to 500 visible characters, nothing about a patient",
        "as told; nothing else was done",
      ),
    }),
    result: breakGlassUse,
  },
} as const satisfies CommandTable;
