import type { enrolmentCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

const defaultMinutes = 60;

export const enrolmentHandlers: HandlersOf<typeof enrolmentCommands> = {
  "device.code": (
    { registry, pending, record },
    { subject, validMinutes = defaultMinutes },
    caller,
  ) => {
    registry.activeSubject(subject);
    const expiresAt = caller.at + validMinutes * 60_000;
    const code = pending.codes.make(subject, expiresAt);
    record({ type: "enrolment-code-made", subject, details: { actor: caller.actor, expiresAt } });
    return { subject, code, expiresAt };
  },

  "manufacturer.add": async ({ manufacturers, record }, { name, certificate, crl }, { actor }) => {
    const added = await manufacturers.add(name, certificate, crl);
    record({ type: "manufacturer-changed", subject: name, details: { actor, change: "added" } });
    return added;
  },

  "manufacturer.list": ({ manufacturers }) => ({ manufacturers: manufacturers.list() }),

  "manufacturer.remove": ({ manufacturers, record }, { name }, { actor }) => {
    const removed = manufacturers.remove(name);
    record({ type: "manufacturer-changed", subject: name, details: { actor, change: "removed" } });
    return removed;
  },
};
