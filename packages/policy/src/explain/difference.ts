import { printable } from "@wardmq/events";
import { type Asked, anyLevel } from "../decide/asked.ts";
import { attributeNames } from "../language/policy.ts";
import { patternOf, type RulePattern } from "../language/rule-pattern.ts";

type Attributes = Readonly<Record<string, string>>;

/** Level by level, why a rule's filter does not allow all that is asked for; empty where it does. */
export function differencesOf(
  filter: string,
  asked: Asked,
  attributes: Attributes,
): readonly string[] {
  const { levels, rest } = patternOf(filter);
  const differences: string[] = [];
  for (const [i, level] of levels.entries()) {
    const within = asked.levels[i];
    if (within === undefined) {
      differences.push(`it wants a level ${i + 1}`);
      return differences;
    }
    if (level.is === "any") continue;
    const text = level.is === "text" ? level.text : attributes[level.name];
    if (text === within) continue;
    const wanted =
      text === undefined
        ? `the attribute ${level.is === "attribute" ? level.name : ""}, which the subject does not have`
        : `"${printable(text, 64)}"`;
    const found = within === anyLevel ? "+" : `"${printable(within, 64)}"`;
    differences.push(`level ${i + 1} wants ${wanted} and is ${found}`);
  }
  if (rest) return differences;
  if (asked.levels.length > levels.length) differences.push(`it ends after level ${levels.length}`);
  else if (asked.rest) differences.push(`it does not reach below level ${levels.length}`);
  return differences;
}

/** The filter of a rule changed as little as can be so that it allows what is asked for; undefined where none may. */
export function fittedFilter(
  filter: string,
  asked: Asked,
  attributes: Attributes,
): string | undefined {
  return filterOf(patternOf(filter), asked, attributes);
}

function filterOf(pattern: RulePattern, asked: Asked, attributes: Attributes): string | undefined {
  const levels = asked.levels.map((within, i) => fittedLevel(pattern, i, within, attributes));
  if (levels.includes(undefined)) return undefined;
  const keepsRest = pattern.rest && levels.length >= pattern.levels.length;
  const kept = keepsRest ? levels.slice(0, pattern.levels.length) : levels;
  const text = [...kept, ...(asked.rest || keepsRest ? ["#"] : [])].join("/");
  return text === "+/#" ? "#" : text;
}

/** A filter that allows what is asked for and no more, with braces where the subject's attributes stand. */
export function filterFor(asked: Asked, attributes: Attributes): string | undefined {
  return filterOf({ levels: [], rest: false }, asked, attributes);
}

function fittedLevel(
  { levels }: RulePattern,
  i: number,
  within: string | typeof anyLevel,
  attributes: Attributes,
): string | undefined {
  const level = levels[i];
  if (level?.is === "any") return "+";
  if (level?.is === "text" && level.text === within) return level.text;
  if (level?.is === "attribute" && attributes[level.name] === within) return `{${level.name}}`;
  if (within === anyLevel) return "+";
  // Braces serve the next subject too; a text that braces cannot be written for is taken as it is.
  const name = attributeNames.find((one) => attributes[one] === within);
  if (name !== undefined && level === undefined) return `{${name}}`;
  return /[{}+#]/.test(within) ? undefined : within;
}
