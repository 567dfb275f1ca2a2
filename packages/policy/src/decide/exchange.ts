import type { CommandTopic, Place } from "../language/policy.ts";
import { standardCommandSeconds } from "../language/template.ts";
import type { SchemaLevel, SchemaTemplate } from "./topic-schema.ts";

/**
 * What a topic is in the exchange of a command and its answer. Below a topic of commands there are four:
 *
 *     command                  a command of MQTT 5.0: Response Topic and Correlation Data tell where the answer goes
 *     command/request/ID       a command of either edition: ID is the correlation, the answer goes to
 *     command/response/ID      the answer to it
 *     command/response[/NAME]  the answer to a command of MQTT 5.0; NAME may be the requester's
 */
export interface Exchange {
  readonly part: "command" | "response";
  /** `device:<uuid>`: whom the command is for, and who alone may answer. */
  readonly device: string;
  /** Where answers stand: `response` below the command's topic, and one level more. */
  readonly responseSpace: string;
  /** Of a command whose topic holds its correlation: where its answer goes. */
  readonly responseTopic: string | undefined;
  readonly withinMs: number;
  /** `topics.commands[0]`. */
  readonly ruleId: string;
}

/** The levels of a topic of commands. */
export interface CommandForm {
  readonly levels: readonly SchemaLevel[];
  /** Which of them is the device. */
  readonly deviceAt: number;
  readonly withinMs: number;
  readonly ruleId: string;
}

export function commandForms(
  commands: readonly Omit<CommandTopic, keyof Place>[],
  expand: (template: string) => readonly SchemaTemplate[],
): readonly CommandForm[] {
  return commands.flatMap(({ topic, within = standardCommandSeconds }, index) =>
    expand(topic).map(({ levels }) => ({
      levels,
      deviceAt: levels.findIndex(isDevice),
      withinMs: within * 1000,
      ruleId: `topics.commands[${index}]`,
    })),
  );
}

/** `{uuid}`, where the policy lists its values too. */
function isDevice(level: SchemaLevel): boolean {
  return level.is === "uuid" || (level.is === "values" && level.name === "uuid");
}

/** What the topic of these levels is in an exchange, or nothing; `isLevel` says whether a text may stand at a level. */
export function exchangeOf(
  forms: readonly CommandForm[],
  texts: readonly string[],
  isLevel: (level: SchemaLevel, text: string) => boolean,
): Exchange | undefined {
  for (const { levels, deviceAt, withinMs, ruleId } of forms) {
    const [way, id, ...beyond] = texts.slice(levels.length);
    const isCommand = way === undefined || (way === "request" && id !== undefined);
    const isWithin = texts.length >= levels.length && beyond.length === 0;
    if (!isWithin || !(isCommand || way === "response")) continue;
    // From the end: most topics differ there from those of commands.
    if (levels.findLast((level, i) => !isLevel(level, texts[i] as string))) continue;
    const responseSpace = [...texts.slice(0, levels.length), "response"].join("/");
    return {
      part: isCommand ? "command" : "response",
      device: `device:${texts[deviceAt]}`,
      responseSpace,
      responseTopic: way === "request" ? `${responseSpace}/${id}` : undefined,
      withinMs,
      ruleId,
    };
  }
  return undefined;
}
