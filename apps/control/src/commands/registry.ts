import { type Commands, importedDevice, type registryCommands } from "@wardmq/commands";
import { Failure } from "../failure.ts";
import type { Doing, Edit } from "../registry/registry.ts";
import type { NewSubject } from "../registry/rows.ts";
import { isFound, type Query } from "../registry/search.ts";
import { refuseUnlessMatching } from "./etag.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";
import {
  type Effect,
  existing,
  type Move,
  moveSubjects,
  newDevice,
  refusesTenant,
  summaryOf,
} from "./subject-acts.ts";

export const registryHandlers: HandlersOf<typeof registryCommands> = {
  show: ({ registry }, { subject }) => summaryOf(existing(registry, subject)),

  history: ({ registry }, { subject, last }) => ({ history: [...registry.history(subject, last)] }),

  "device.edit": (on, { id, because, ifMatch, ...edit }, caller) =>
    edited(on, `device:${id}`, edit, { ...caller, reason: because }, ifMatch),

  "device.move": (on, { id, because, ifMatch, ...where }, caller) =>
    edited(on, `device:${id}`, where, { ...caller, reason: because }, ifMatch),

  "device.import": importDevices,

  retire: (on, wanted, caller) => moveOne(on, wanted, "retire", caller),
  quarantine: (on, wanted, caller) => moveOne(on, wanted, "quarantine", caller),
  release: (on, wanted, caller) => moveOne(on, wanted, "release", caller),

  "selection.revoke": (on, { because, ...query }, caller) =>
    moveAll(on, query, "revoke", { ...caller, reason: because }),
  "selection.quarantine": (on, { because, ...query }, caller) =>
    moveAll(on, query, "quarantine", { ...caller, reason: because }),
  "selection.release": (on, { because, ...query }, caller) =>
    moveAll(on, query, "release", { ...caller, reason: because }),
};

async function moveOne(
  on: Surroundings,
  { subject: id, because: reason, ifMatch }: Commands["retire"]["arguments"],
  name: Move,
  caller: Caller,
): Promise<Effect> {
  const before = existing(on.registry, id);
  const { state } = before;
  refuseUnlessMatching(summaryOf(before), ifMatch);
  const effect = await moveSubjects(on, [id], name, { ...caller, reason });
  if (effect.subjects > 0) return effect;
  throw new Failure("ERR_SUBJECT_STATE", `${id} is ${state}: there is nothing to ${name}`, {
    hint: "wardmq show tells its state",
  });
}

function moveAll(on: Surroundings, query: Query, name: Move, doing: Doing): Promise<Effect> {
  if (Object.keys(query).length === 0) {
    throw new Failure("ERR_REQUEST", "nothing says who is meant", {
      hint: "name at least one of kind, site, ward, model, tag, ca",
    });
  }
  const found = on.registry.subjects().filter((subject) => isFound(subject, query));
  return moveSubjects(
    on,
    found.map(({ id }) => id),
    name,
    doing,
  );
}

function edited(
  on: Surroundings,
  id: string,
  edit: Edit,
  doing: Doing,
  ifMatch: string | undefined,
) {
  const before = existing(on.registry, id);
  refuseUnlessMatching(summaryOf(before), ifMatch);
  const after = on.registry.editSubject(id, edit, doing);
  if (after !== before) {
    on.publisher.publish({ subjects: [after] });
    const why = doing.reason === undefined ? {} : { why: doing.reason };
    on.record({ type: "subject-changed", subject: id, ...why, details: { actor: doing.actor } });
  }
  return summaryOf(after);
}

/** Valid rows are taken together, the others named. Nobody is told device by device: one event says how many came. */
function importDevices(
  on: Surroundings,
  { devices, dryRun, allOrNothing = false }: Commands["device.import"]["arguments"],
  caller: Caller,
): Commands["device.import"]["result"] {
  const { registry, publisher, record } = on;
  const refused: Commands["device.import"]["result"]["refused"][number][] = [];
  const taken = new Map<string, NewSubject>();
  for (const [index, given] of devices.entries()) {
    const parsed = importedDevice.safeParse(given);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const field = String(
        issue?.path[0] ?? (issue?.code === "unrecognized_keys" ? issue.keys[0] : ""),
      );
      refused.push({ index, field: field.slice(0, 64), why: whyOf(issue?.code, issue?.message) });
      continue;
    }
    const ofNobody = refusesTenant(on, parsed.data.org);
    if (ofNobody !== undefined) {
      refused.push({ index, field: "org", why: ofNobody.message });
      continue;
    }
    const device = newDevice(registry, parsed.data);
    const isThere = registry.refusesToAdd(device.id);
    if (isThere !== undefined || taken.has(device.id)) {
      refused.push({
        index,
        field: "id",
        why: isThere?.message ?? `${device.id} stands here twice`,
      });
    } else taken.set(device.id, device);
  }
  if (allOrNothing && !dryRun && refused.length > 0) return { added: 0, refused };
  if (dryRun || taken.size === 0) return { added: taken.size, refused };
  const added = registry.addSubjects([...taken.values()], caller);
  publisher.publish({ subjects: added });
  const details = { actor: caller.actor, devices: added.length };
  record({ type: "subject-added", details });
  return { added: added.length, refused };
}

function whyOf(code: string | undefined, message: string | undefined): string {
  if (code === "unrecognized_keys") return "is no field of a device";
  if (code === "custom") return message ?? "has another form";
  if (code === "invalid_type") return "is missing, or no text";
  return "has another form, or is too long";
}
