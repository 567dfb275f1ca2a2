import { namePattern } from "./policy.ts";
import type { Level, RulePattern } from "./rule-pattern.ts";

/** Whether one pattern allows all that the other does, for every subject. */
export function patternIncludes(outer: RulePattern, inner: RulePattern): boolean {
  const longEnough = outer.rest
    ? inner.levels.length >= outer.levels.length
    : inner.levels.length === outer.levels.length && !inner.rest;
  return (
    longEnough &&
    outer.levels.every((level, i) => {
      const within = inner.levels[i];
      if (level.is === "any") return i > 0 || !isDollar(within);
      if (level.is === "text") return within?.is === "text" && within.text === level.text;
      return within?.is === "attribute" && within.name === level.name;
    })
  );
}

/** Whether some Topic Name and some subject exist for which all patterns match. */
export function patternsMeet(...patterns: readonly RulePattern[]): boolean {
  const fixed = patterns.filter(({ rest }) => !rest).map(({ levels }) => levels.length);
  const deepest = Math.max(...patterns.map(({ levels }) => levels.length));
  if (fixed.some((depth) => depth !== deepest)) return false;
  return Array.from({ length: deepest }, (_, i) => i).every((i) =>
    levelsMeet(
      patterns.flatMap(({ levels }) => levels[i] ?? []),
      i === 0,
    ),
  );
}

function levelsMeet(levels: readonly Level[], isFirst: boolean): boolean {
  const text = levels.find((level) => level.is === "text")?.text;
  return levels.every((level) => {
    if (text === undefined) return true; // attributes may be equal
    if (level.is === "text") return level.text === text;
    if (level.is === "attribute") return namePattern.test(text);
    return !isFirst || !text.startsWith("$");
  });
}

function isDollar(level: Level | undefined): boolean {
  return level?.is === "text" && level.text.startsWith("$");
}
