import { z } from "zod";
import type { CommandTable } from "./command.ts";
import {
  deviceFields,
  edit,
  effect,
  ifMatch,
  reason,
  selection,
  tags,
  texts,
} from "./device-fields.ts";
import { deviceId, milliseconds, subjectId } from "./forms.ts";
import { subjectSummary } from "./subjects.ts";

/** One device of an import; without an id it gets a new one. */
export const importedDevice = z.strictObject({ id: deviceId.exactOptional(), ...deviceFields });

const historyLine = z.strictObject({
  at: milliseconds,
  actor: z.string(),
  action: z.string().meta({ examples: ["subject.edit"] }),
  subject: z.string().exactOptional(),
  reason: z.string().exactOptional(),
  details: z.record(z.string(), z.unknown()),
});

export const registryCommands = {
  show: {
    summary: "show a device or a service: its record and its certificates",
    role: "viewer",
    route: "GET /subjects/{subject}",
    arguments: z.strictObject({ subject: subjectId }),
    isRecord: true,
    result: subjectSummary,
  },
  history: {
    summary: "show who changed what of a subject, when and why, oldest first",
    role: "viewer",
    route: "GET /subjects/{subject}/history",
    arguments: z.strictObject({
      subject: subjectId,
      last: z
        .int()
        .min(1)
        .max(10_000)
        .meta({ description: "how many", examples: [20] }),
    }),
    result: z.strictObject({ history: z.array(historyLine) }),
  },
  "device.edit": {
    summary: "change what the record of a device says; null takes a text away",
    role: "operator",
    route: "PATCH /devices/{id}",
    arguments: z.strictObject({
      id: deviceId,
      model: edit(texts.model),
      maker: edit(texts.maker),
      serial: edit(texts.serial),
      owner: edit(texts.owner),
      tags: tags.exactOptional(),
      because: reason,
      ifMatch,
    }),
    isRecord: true,
    result: subjectSummary,
  },
  "device.move": {
    summary: "move a device to another ward: what it may do follows at once",
    role: "operator",
    route: "POST /devices/{id}/move",
    arguments: z.strictObject({
      id: deviceId,
      site: deviceFields.site.exactOptional(),
      ward: deviceFields.ward,
      because: reason,
      ifMatch,
    }),
    isRecord: true,
    result: subjectSummary,
  },
  "device.import": {
    summary: "register many devices together; those that are refused are named and stay out",
    role: "operator",
    route: "POST /devices/import",
    arguments: z.strictObject({
      devices: z
        .array(z.record(z.string(), z.unknown()))
        .min(1)
        .max(1_000)
        .meta({ description: "as the arguments of device.add" }),
      dryRun: z.boolean().meta({ description: "only say what would be refused" }),
      allOrNothing: z
        .boolean()
        .exactOptional()
        .meta({ description: "take none of this request when one of it is refused" }),
    }),
    result: z.strictObject({
      added: z.int(),
      refused: z.array(
        z.strictObject({
          index: z.int().meta({ description: "in `devices`, from 0" }),
          field: z.string(),
          why: z.string(),
        }),
      ),
    }),
  },
  retire: {
    summary: "take a subject out of use: its certificates are revoked, and it can be added again",
    role: "operator",
    route: "POST /subjects/{subject}/retire",
    arguments: z.strictObject({ subject: subjectId, because: reason, ifMatch }),
    result: effect,
  },
  quarantine: {
    summary: "let a subject do nothing but speak on its own lifecycle topic, from now on",
    role: "operator",
    route: "POST /subjects/{subject}/quarantine",
    arguments: z.strictObject({ subject: subjectId, because: reason, ifMatch }),
    result: effect,
  },
  release: {
    summary: "let a subject out of quarantine",
    role: "operator",
    route: "POST /subjects/{subject}/release",
    arguments: z.strictObject({ subject: subjectId, because: reason, ifMatch }),
    result: effect,
  },
  "selection.revoke": {
    summary: "revoke all devices and services of a site, ward, model, tag or CA",
    role: "security-officer",
    route: "POST /selection/revoke",
    approval: "second-person",
    arguments: z.strictObject({ ...selection, because: reason }),
    result: effect,
  },
  "selection.quarantine": {
    summary: "put all devices and services of a site, ward, model, tag or CA in quarantine",
    role: "security-officer",
    route: "POST /selection/quarantine",
    arguments: z.strictObject({ ...selection, because: reason }),
    result: effect,
  },
  "selection.release": {
    summary: "let all devices and services of a site, ward, model, tag or CA out of quarantine",
    role: "security-officer",
    route: "POST /selection/release",
    approval: "second-person",
    arguments: z.strictObject({ ...selection, because: reason }),
    result: effect,
  },
} as const satisfies CommandTable;
