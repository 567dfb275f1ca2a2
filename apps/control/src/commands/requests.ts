import type { CommandName, CommandRequest, Commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { Failure } from "../failure.ts";

type Arguments = { readonly [Name in CommandName]: ArgumentForms<Commands[Name]["arguments"]> };

type Form = (value: unknown) => boolean;

/** How each argument of a command is checked; the form of one that may be absent accepts undefined. */
type ArgumentForms<Wanted> = { readonly [Key in keyof Wanted]-?: Form };

const isText: Form = (value) => typeof value === "string" && value.length <= 65_536;
const isTextOrAbsent: Form = (value) => value === undefined || isText(value);
const isTexts: Form = (value) =>
  Array.isArray(value) && value.length <= 1000 && value.every(isText);
const isNumber: Form = (value) => Number.isSafeInteger(value);

/** The arguments of every command, one row each. */
const argumentForms: Arguments = {
  init: { org: isText, environment: isText, hosts: isTexts },
  "device.add": { site: isText, ward: isText, model: isTextOrAbsent, id: isTextOrAbsent },
  "service.add": { name: isText },
  list: {},
  revoke: { subject: isText },
  credential: { subject: isText, certificateRequest: isText },
  reload: {},
  events: { last: isNumber },
};

/** One request from its line: a known command with exactly its arguments, or a Failure. */
export function parseRequest(line: string): CommandRequest {
  const { command, arguments: given } = objectOf(parseJson(line));
  if (typeof command !== "string" || !Object.hasOwn(argumentForms, command)) {
    throw wrongRequest("no command of ours", `known are ${Object.keys(argumentForms).join(", ")}`);
  }
  const forms: Readonly<Record<string, Form>> = argumentForms[command as CommandName];
  const values = objectOf(given);
  const unknown = Object.keys(values).find((key) => !Object.hasOwn(forms, key));
  if (unknown !== undefined)
    throw wrongRequest(`${command} has no argument ${printable(unknown, 60)}`);
  for (const [key, accepts] of Object.entries(forms)) {
    if (!accepts(values[key]))
      throw wrongRequest(`${command}: the argument ${key} is missing or wrong`);
  }
  // INVARIANT: the forms of a command are those of its type in packages/commands.
  return { command, arguments: values } as unknown as CommandRequest;
}

/** The refusal of what is no request. */
export function wrongRequest(message: string, hint?: string): Failure {
  return new Failure("ERR_REQUEST", message, { hint });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw wrongRequest("a request is one JSON object on one line");
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw wrongRequest("a request has a command and arguments");
}
