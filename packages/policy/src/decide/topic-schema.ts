import {
  type CommandTopic,
  namePattern,
  type Place,
  type Policy,
  segmentPattern,
  type Topics,
  uuidPattern,
} from "../language/policy.ts";
import { parseTemplate, standardTopics } from "../language/template.ts";
import { type Asked, anyLevel } from "./asked.ts";
import { type CommandForm, commandForms } from "./exchange.ts";

/** What may stand at a level of a topic. */
export type SchemaLevel =
  | { readonly is: "text"; readonly text: string }
  /** The tenant of whoever publishes. */
  | { readonly is: "org" }
  | { readonly is: "uuid" }
  /** Any name but the fixed texts that other templates have at this level: `deid` is no site. */
  | { readonly is: "name"; readonly name: string; readonly except: ReadonlySet<string> }
  | { readonly is: "values"; readonly name: string; readonly values: ReadonlySet<string> };

/** One form of topics; `rest`: any further levels, each a segment. */
export interface SchemaTemplate {
  readonly levels: readonly SchemaLevel[];
  readonly rest: boolean;
}

/** What every topic of a tenant looks like; no templates where the policy says `off`. */
export interface TopicSchema {
  readonly isStrict: boolean;
  readonly templates: readonly SchemaTemplate[];
  readonly commands: readonly CommandForm[];
}

/** The schema of a tenant: its own, else that of the policy, else the standard one. */
export function topicSchema(policy: Policy, org: string | undefined): TopicSchema {
  const topics = policy.tenants.find(({ name }) => name === org)?.topics ?? policy.topics;
  const values = new Map<string, readonly string[]>(Object.entries(standardTopics.levels));
  for (const { name, values: of } of topics?.levels ?? []) values.set(name, of);
  return {
    isStrict: topics?.schema !== "off",
    templates: templatesOf(topics, values),
    commands: commandForms(commandTopics(topics), (text) => expand(text, values)),
  };
}

function commandTopics(topics: Topics | undefined): readonly Omit<CommandTopic, keyof Place>[] {
  if (topics?.commands !== undefined) return topics.commands;
  return topics?.schema === "off" ? [] : standardTopics.commands.map((topic) => ({ topic }));
}

function templatesOf(
  topics: Topics | undefined,
  values: ReadonlyMap<string, readonly string[]>,
): readonly SchemaTemplate[] {
  const written = topics?.templates.map(({ template }) => template) ?? [];
  const texts = written.length > 0 ? written : standardTopics.templates;
  const expanded = texts.flatMap((text) => expand(text, values));
  const fixed = (i: number) =>
    new Set(expanded.flatMap(({ levels }) => (levels[i]?.is === "text" ? levels[i].text : [])));
  return expanded.map(({ levels, rest }) => ({
    rest,
    levels: levels.map((level, i) =>
      level.is === "name" ? { ...level, except: fixed(i) } : level,
    ),
  }));
}

/** A template with its levels; one whose value has several levels becomes a template for each such value. */
function expand(text: string, values: ReadonlyMap<string, readonly string[]>): SchemaTemplate[] {
  const parsed = parseTemplate(text);
  if ("message" in parsed) throw new TypeError(`not a template: ${parsed.message}`);
  let forms: SchemaLevel[][] = [[]];
  for (const level of parsed.levels) {
    const ways = level.is === "text" ? [[level]] : waysOf(level.name, values.get(level.name));
    forms = forms.flatMap((form) => ways.map((way) => [...form, ...way]));
  }
  return forms.map((levels) => ({ levels, rest: parsed.rest }));
}

function waysOf(name: string, values: readonly string[] | undefined): SchemaLevel[][] {
  if (name === "org") return [[{ is: "org" }]];
  if (values === undefined) {
    return [[name === "uuid" ? { is: "uuid" } : { is: "name", name, except: new Set() }]];
  }
  const single = values.filter((value) => !value.includes("/"));
  const several = values.filter((value) => value.includes("/"));
  return [
    ...(single.length > 0 ? [[{ is: "values" as const, name, values: new Set(single) }]] : []),
    ...several.map((value) => value.split("/").map((text) => ({ is: "text" as const, text }))),
  ];
}

/** Whether the schema has this Topic Name, or for a filter: one that the filter matches. */
export function schemaMeets(
  { isStrict, templates }: TopicSchema,
  org: string,
  asked: Asked,
): boolean {
  if (!isStrict) return true;
  return templates.some((template) => templateMeets(template, org, asked));
}

function templateMeets({ levels, rest }: SchemaTemplate, org: string, asked: Asked): boolean {
  const length = asked.levels.length;
  if (length < levels.length ? !asked.rest : length > levels.length && !rest) return false;
  // Fixed texts first: most templates are told apart by them, and the patterns of the others cost more.
  for (let i = 0; i < length; i++) {
    const level = levels[i];
    const text = asked.levels[i] as string | typeof anyLevel;
    if (text !== anyLevel && isCheap(level) && !levelHas(level, text, org)) return false;
  }
  for (let i = 0; i < length; i++) {
    const level = levels[i];
    const text = asked.levels[i] as string | typeof anyLevel;
    if (text === anyLevel || isCheap(level)) continue;
    if (level === undefined ? !segmentPattern.test(text) : !levelHas(level, text, org))
      return false;
  }
  return true;
}

function isCheap(level: SchemaLevel | undefined): level is SchemaLevel {
  return level !== undefined && level.is !== "uuid" && level.is !== "name";
}

export function levelHas(level: SchemaLevel, text: string, org: string): boolean {
  switch (level.is) {
    case "text":
      return level.text === text;
    case "org":
      return text === org;
    case "uuid":
      return uuidPattern.test(text);
    case "name":
      return namePattern.test(text) && !level.except.has(text);
    case "values":
      return level.values.has(text);
  }
}

/** Fixed texts of the schema that a record must not have as this attribute, for topics would have two meanings. */
export function reservedWords(
  { isStrict, templates }: TopicSchema,
  attribute: string,
): Set<string> {
  const words = new Set<string>();
  if (!isStrict) return words;
  for (const { levels } of templates) {
    for (const level of levels) {
      if (level.is === "name" && level.name === attribute) {
        for (const word of level.except) words.add(word);
      }
    }
  }
  return words;
}

/** Where in a template the places of a binding's `where` stand; undefined where one does not stand there. */
export function placesIn(
  { levels }: SchemaTemplate,
  names: readonly string[],
): ReadonlyMap<number, string> | undefined {
  const places = new Map<number, string>();
  for (const name of names) {
    const at = levels.findIndex((level) =>
      level.is === "org" ? name === "org" : "name" in level && level.name === name,
    );
    if (at === -1) return undefined;
    places.set(at, name);
  }
  return places;
}
