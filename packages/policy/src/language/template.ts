import { printable } from "@wardmq/events";
import { namePattern, policyLimits, segmentPattern } from "./policy.ts";
import type { Fault } from "./shape.ts";

/** One level of a template: a fixed text, or a name in braces that the schema gives a meaning. */
export type TemplateLevel =
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "name"; readonly name: string };

/** A form that topics have; `rest` says that it ends in `#`: further levels, or none. */
export interface ParsedTemplate {
  readonly levels: readonly TemplateLevel[];
  readonly rest: boolean;
}

/** A template of the topic schema, or the first thing that is wrong with it. */
export function parseTemplate(text: string): ParsedTemplate | Fault {
  const texts = text.split("/");
  if (texts.length > policyLimits.filterLevels) {
    const message = `expected at most ${policyLimits.filterLevels} levels, found ${texts.length}`;
    return { at: 0, message, hint: "write fewer levels" };
  }
  if (texts[0] !== "{org}") {
    const message = "expected a template that begins with {org}";
    return { at: 0, message, hint: "the first level of every topic is its tenant" };
  }
  const levels: TemplateLevel[] = [];
  let at = 0;
  for (const [index, level] of texts.entries()) {
    const name = /^\{(.*)\}$/.exec(level)?.[1];
    if (level === "#" && index === texts.length - 1) return { levels, rest: true };
    if (name !== undefined && namePattern.test(name)) levels.push({ is: "name", name });
    else if (segmentPattern.test(level)) levels.push({ is: "text", text: level });
    else {
      const message = `expected a level, found "${printable(level, 64)}"`;
      return { at, message, hint: "write a fixed text, a name in braces, or # at the end" };
    }
    at += level.length + 1;
  }
  return { levels, rest: false };
}

/** The topics that design and documentation speak of: what a policy has that writes no templates. */
export const standardTopics = {
  templates: [
    "{org}/{site}/{ward}/device/{uuid}/{channel}",
    "{org}/{site}/{ward}/device/{uuid}/command/request/{correlation}",
    "{org}/{site}/{ward}/device/{uuid}/command/response/{correlation}",
    "{org}/{site}/{ward}/aggregate/#",
    "{org}/deid/#",
  ],
  levels: {
    channel: [
      "telemetry",
      "alarm",
      "command",
      "command/response",
      "config",
      "lifecycle",
      "firmware/command",
      "firmware/status",
    ],
  },
  commands: ["{org}/{site}/{ward}/device/{uuid}/command"],
} as const;

/** How long an answer to a command may take where the policy does not say it. */
export const standardCommandSeconds = 30;
