import type { Where } from "../language/policy.ts";
import type { Level, RulePattern } from "../language/rule-pattern.ts";
import { placesIn, type SchemaTemplate, type TopicSchema } from "./topic-schema.ts";

/** The values of a `where`, by attribute. */
export function valuesOf(where: Where | undefined): Readonly<Record<string, string>> {
  const { org, site, ward, model } = where ?? {};
  const written = Object.entries({ org, site, ward, model });
  return Object.fromEntries(written.filter((entry): entry is [string, string] => !!entry[1]));
}

/**
 * What is left of a rule in the place that a `where` names: the topics of those templates that have such a level, with
 * the place's text there. `{ward}` in the rule becomes the place's ward too, but for a subject that stands in another
 * one, which `own` tells, nothing is left.
 */
export function narrow(
  pattern: RulePattern,
  where: Where,
  own: Readonly<Record<string, string>>,
  { templates }: TopicSchema,
): readonly RulePattern[] {
  const values = valuesOf(where);
  const conflicts = Object.keys(values).filter(
    (name) => Object.hasOwn(own, name) && own[name] !== values[name],
  );
  const usesConflict = pattern.levels.some(
    (level) => level.is === "attribute" && conflicts.includes(level.name),
  );
  if (usesConflict) return [];
  const narrowed = templates.flatMap((template) => inTemplate(pattern, values, template) ?? []);
  const unique = new Map(narrowed.map((one) => [JSON.stringify(one), one]));
  return [...unique.values()];
}

function inTemplate(
  pattern: RulePattern,
  values: Readonly<Record<string, string>>,
  template: SchemaTemplate,
): RulePattern | undefined {
  const places = placesIn(template, Object.keys(values));
  if (!places) return undefined;
  const depth = Math.max(pattern.levels.length, template.levels.length);
  if (pattern.levels.length < depth && !pattern.rest) return undefined;
  if (template.levels.length < depth && !template.rest) return undefined;
  const levels: Level[] = [];
  for (let i = 0; i < depth; i++) {
    const place = places.get(i);
    const level = place === undefined ? undefined : (values[place] as string);
    const narrowed =
      level === undefined ? atLevel(pattern, template, i) : atPlace(pattern, i, level, place);
    if (!narrowed) return undefined;
    levels.push(narrowed);
  }
  return { levels, rest: pattern.rest && template.rest };
}

/** The level of a place: the place's text, where the rule allows it. */
function atPlace(
  { levels }: RulePattern,
  i: number,
  text: string,
  attribute: string | undefined,
): Level | undefined {
  const level = levels[i];
  const isAllowed =
    level === undefined ||
    level.is === "any" ||
    (level.is === "text" && level.text === text) ||
    (level.is === "attribute" && level.name === attribute);
  return isAllowed ? { is: "text", text } : undefined;
}

/** Any other level: the rule's, or the template's fixed text where the rule takes any. */
function atLevel({ levels }: RulePattern, template: SchemaTemplate, i: number): Level | undefined {
  const [level, fixed] = [levels[i], template.levels[i]];
  if (fixed?.is !== "text") return level ?? { is: "any" };
  if (level === undefined || level.is === "any") return { is: "text", text: fixed.text };
  return level.is === "text" && level.text !== fixed.text ? undefined : level;
}
