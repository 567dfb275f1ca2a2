import { namePattern } from "../language/policy.ts";
import type { Level, RulePattern } from "../language/rule-pattern.ts";

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
  let deepest = 0;
  for (const { levels } of patterns) deepest = Math.max(deepest, levels.length);
  for (const { levels, rest } of patterns) if (!rest && levels.length !== deepest) return false;
  for (let i = 0; i < deepest; i++) if (!levelsMeet(patterns, i)) return false;
  return true;
}

function levelsMeet(patterns: readonly RulePattern[], i: number): boolean {
  const text = patterns.find(({ levels }) => levels[i]?.is === "text")?.levels[i];
  if (text?.is !== "text") return true; // attributes may be equal
  return patterns.every(({ levels }) => {
    const level = levels[i];
    if (level?.is === "text") return level.text === text.text;
    if (level?.is === "attribute") return namePattern.test(text.text);
    return i > 0 || !isDollar(text);
  });
}

function isDollar(level: Level | undefined): boolean {
  return level?.is === "text" && level.text.startsWith("$");
}
