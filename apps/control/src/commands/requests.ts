import {
  type CommandName,
  type CommandRequest,
  commands,
  describeArgument,
  type FormCode,
  parseJson,
  RepeatedKeyError,
} from "@wardmq/commands";
import { printable } from "@wardmq/events";
import type { z } from "zod";
import { Failure } from "../failure.ts";

/** One request from its line: a known command with exactly its arguments, or a Failure. */
export function parseRequest(line: string): CommandRequest {
  const { command, arguments: given, ...others } = objectOf(parseLine(line));
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw wrongRequest(`a request has no ${printable(unknown, 60)}`);
  if (typeof command !== "string" || !isCommand(command)) {
    throw wrongRequest("no command of ours", `known are ${Object.keys(commands).join(", ")}`);
  }
  return requestOf(command, objectOf(given));
}

/** A request with arguments of unknown form; a Failure says the first that is wrong. */
export function requestOf(command: CommandName, given: object): CommandRequest {
  const parsed = commands[command].arguments.safeParse(given);
  if (!parsed.success) throw wrongArguments(command, given, parsed.error);
  // INVARIANT: what the schema of a command lets through is of its type.
  return { command, arguments: parsed.data } as CommandRequest;
}

/** The refusal of what is no request. */
export function wrongRequest(message: string, hint?: string): Failure {
  return new Failure("ERR_REQUEST", message, { hint });
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commands, name);
}

/** Nothing that zod says is repeated: it holds the text that came. */
function wrongArguments(command: CommandName, given: object, { issues }: z.ZodError): Failure {
  const [issue] = issues;
  if (issue?.code === "unrecognized_keys") {
    return wrongRequest(`${command} has no argument ${printable(issue.keys[0] ?? "", 60)}`);
  }
  const path = (issue?.path ?? []).map(String);
  const where = printable(path.join("."), 60);
  if (issue?.code === "custom" && issue.params !== undefined) {
    const { code, hint } = issue.params as { code: FormCode; hint: string };
    const value = printable(String(valueAt(given, path)), 80);
    return new Failure(code, `${where}: "${value}" ${issue.message}`, { hint });
  }
  const state = valueAt(given, path) === undefined ? "is missing" : "is wrong";
  const hint = describeArgument(commands[command], path[0] ?? "");
  return wrongRequest(`${command}: the argument ${where} ${state}`, hint && `expected ${hint}`);
}

function valueAt(given: unknown, path: readonly string[]): unknown {
  return path.reduce((at, key) => (at as Readonly<Record<string, unknown>> | null)?.[key], given);
}

/** The refusal of JSON in which a key stands twice: one reader would take the first, another the last. */
export function repeatedKey({ key }: RepeatedKeyError): Failure {
  return wrongRequest(`the key ${printable(key, 60)} stands twice`, "leave one of them out");
}

function parseLine(line: string): unknown {
  try {
    return parseJson(line);
  } catch (error) {
    if (error instanceof RepeatedKeyError) throw repeatedKey(error);
    throw wrongRequest("a request is one JSON object on one line");
  }
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw wrongRequest("a request has a command and arguments");
}
