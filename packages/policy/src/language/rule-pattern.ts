import { printable } from "@wardmq/events";
import { suggestion } from "./closest.ts";
import { type Action, type AttributeName, attributeNames, policyLimits } from "./policy.ts";
import type { Fault } from "./shape.ts";

/** One level of a rule's filter: text that must be equal, an attribute of the subject, or `+`. */
export type Level =
  | { readonly is: "text"; readonly text: string }
  | { readonly is: "attribute"; readonly name: AttributeName }
  | { readonly is: "any" };

/**
 * A rule's filter, level by level. `rest` says that it ends in `#`, which is not among `levels` and matches the parent
 * level too (5.0 section 4.7.1.2). `#` is kept as `+/#` and `/#` as `/+/#`, which match the same names, for no Topic
 * Name is empty: so one filter includes another exactly where its levels do.
 */
export interface RulePattern {
  readonly levels: readonly Level[];
  readonly rest: boolean;
}

const any: Level = { is: "any" };

/** Control characters, lone surrogates and noncharacters, which MQTT forbids or advises against (5.0 section 1.5.4). */
const forbiddenCharacter =
  /[\p{Cc}\p{Cs}\u{FEFF}\u{FDD0}-\u{FDEF}\u{FFFE}\u{FFFF}]|[\p{Bidi_Control}\u{2028}\u{2029}]/u;

/** The filter of a rule as a pattern, or the first thing that is wrong with it. */
export function parseRulePattern(filter: string, action: Action): RulePattern | Fault {
  const fault = wholeFault(filter, action);
  if (fault) return fault;
  const levels: Level[] = [];
  const texts = filter.split("/");
  let at = 0;
  for (const [index, text] of texts.entries()) {
    if (text === "#" && index === texts.length - 1) {
      if (filter === "#" || filter === "/#") levels.push(any);
      return { levels, rest: true };
    }
    const level = parseLevel(text);
    if ("message" in level) return { ...level, at: at + level.at };
    levels.push(level);
    at += text.length + 1;
  }
  return { levels, rest: false };
}

/** Whether parsing gave a fault. */
export function isFault(parsed: RulePattern | Fault): parsed is Fault {
  return "message" in parsed;
}

/** The pattern of a filter that is known to be well formed. */
export function patternOf(filter: string): RulePattern {
  const pattern = parseRulePattern(filter, "subscribe");
  if (isFault(pattern)) throw new TypeError(`not a topic filter: ${pattern.message}`);
  return pattern;
}

function wholeFault(filter: string, action: Action): Fault | undefined {
  if (filter === "") {
    return fault(0, "expected a topic filter, found an empty text", "write a filter or remove it");
  }
  const bytes = Buffer.byteLength(filter);
  if (bytes > policyLimits.filterBytes) {
    const most = `expected at most ${policyLimits.filterBytes} bytes`;
    return fault(0, `${most}, found ${bytes}`, "write a shorter filter");
  }
  const levels = filter.split("/").length;
  if (levels > policyLimits.filterLevels) {
    const most = `expected at most ${policyLimits.filterLevels} levels`;
    return fault(0, `${most}, found ${levels}`, "write fewer levels");
  }
  const odd = forbiddenCharacter.exec(filter);
  if (odd) {
    const found = `found the character "${printable(odd[0])}"`;
    return fault(odd.index, `expected visible text, ${found}`, "remove that character");
  }
  return filter.startsWith("$") ? dollarFault(filter, action) : undefined;
}

/** Names that begin with `$` are the broker's: nobody publishes there, and only `$SYS` can be read. */
function dollarFault(filter: string, action: Action): Fault | undefined {
  const first = filter.split("/", 1).join();
  if (first === "$share") {
    const hint = 'leave out "$share/<group>/": the right to a filter covers sharing it';
    return fault(0, "expected a filter without a share name", hint);
  }
  if (action === "publish") {
    const hint = "remove the rule: no client may publish below $";
    return fault(0, 'expected a filter that does not begin with "$"', hint);
  }
  if (first === "$SYS") return undefined;
  const found = `found "${printable(first, 64)}"`;
  return fault(0, `expected "$SYS" or a level without "$", ${found}`, "only $SYS can be read");
}

function parseLevel(text: string): Level | Fault {
  if (text === "+") return any;
  if (/[{}]/.test(text)) return parseBraces(text);
  const wildcard = text.search(/[+#]/);
  if (wildcard === -1) return { is: "text", text };
  const hint =
    text[wildcard] === "#"
      ? '"#" stands alone as the last level: "ward/#"'
      : '"+" stands alone in its level: "ward/+/alarm"';
  return fault(wildcard, `expected "${text[wildcard]}" to be a whole level`, hint);
}

function parseBraces(text: string): Level | Fault {
  const name = /^\{([^{}]*)\}$/.exec(text)?.[1];
  if (name === undefined) {
    const hint = 'write "{id}/alarm", not "{id}-alarm"; braces come in pairs and do not nest';
    return fault(text.search(/[{}]/), "expected braces to be a whole level", hint);
  }
  const known = attributeNames.find((attribute) => attribute === name);
  if (known) return { is: "attribute", name: known };
  const expected = `expected one of ${attributeNames.join(", ")} in braces`;
  const found = `found "${printable(name, 64)}"`;
  return fault(0, `${expected}, ${found}`, suggestion(name, attributeNames));
}

function fault(at: number, message: string, hint: string): Fault {
  return { at, message, hint };
}
