import type { AttributeName } from "../language/policy.ts";
import { attributeNames } from "../language/policy.ts";
import type { RulePattern } from "../language/rule-pattern.ts";
import { type Asked, anyLevel } from "./asked.ts";
import type { Decision } from "./decision.ts";
import type { Terms } from "./terms.ts";

/** A rule cut into levels; its attributes are looked up in the subject's values, never put into a text. */
export interface CompiledRule {
  readonly id: string;
  /** `line 12 of policy.yaml`, for people. */
  readonly where: string;
  readonly pattern: RulePattern;
  readonly terms: Terms;
  /** The Decision when this rule alone decides, made once. */
  readonly decision: Decision;
}

/** A subject's attributes in the order of `attributeNames`. */
export type Values = readonly (string | undefined)[];

/** Rules by the levels of their filters: a decision walks the levels of what is asked, however many rules there are. */
export class RuleNode {
  texts: Map<string, RuleNode> | undefined;
  attributes: Map<number, RuleNode> | undefined;
  any: RuleNode | undefined;
  /** Rules that end here, and rules that end here in `#`. */
  ends: CompiledRule[] | undefined;
  rests: CompiledRule[] | undefined;
  /** The first rule that leads through here, to explain how near it came. */
  sample: CompiledRule | undefined;

  constructor(sample?: CompiledRule) {
    this.sample = sample;
  }

  add(rule: CompiledRule): void {
    this.sample ??= rule;
    let node: RuleNode = this;
    for (const level of rule.pattern.levels) {
      if (level.is === "any") {
        node.any ??= new RuleNode(rule);
        node = node.any;
      } else if (level.is === "text") {
        node.texts ??= new Map();
        node = childOf(node.texts, level.text, rule);
      } else {
        node.attributes ??= new Map();
        node = childOf(node.attributes, indexOf(level.name), rule);
      }
    }
    if (rule.pattern.rest) node.rests = [...(node.rests ?? []), rule];
    else node.ends = [...(node.ends ?? []), rule];
  }
}

function childOf<Key>(children: Map<Key, RuleNode>, key: Key, rule: CompiledRule): RuleNode {
  let child = children.get(key);
  if (child === undefined) {
    child = new RuleNode(rule);
    children.set(key, child);
  }
  return child;
}

const indices = new Map(attributeNames.map((name, index) => [name, index]));
const indexOf = (name: AttributeName) => indices.get(name) ?? -1;

/** How far the walk of what was asked came, where no rule allowed it. */
export interface Nearest {
  /** How many levels agreed. */
  depth: number;
  rule: CompiledRule | undefined;
  /** A rule that agreed until it wanted an attribute the subject does not have, and at which level. */
  unsure: CompiledRule | undefined;
  unsureAt: number;
}

/**
 * The rules that allow all that is asked for: each one alone, or for a filter ending in `#` several between them, as
 * `a` and `a/+/#` allow `a/#`. An empty list where something asked for is not allowed.
 *
 * Exact: no rule but one with `+` allows every text of a level, for texts are without end; so names of one depth are
 * either all allowed by one rule, or one of them by none. Beyond the deepest rule only rules with `#` are left.
 */
export function rulesAllowing(
  roots: readonly RuleNode[],
  values: Values,
  { levels, rest }: Asked,
  nearest: Nearest,
): { readonly alone: readonly CompiledRule[]; readonly together: readonly CompiledRule[] } {
  const alone: CompiledRule[] = [];
  let nodes: RuleNode[] = roots as RuleNode[];
  for (let i = 0; i < levels.length && nodes.length > 0; i++) {
    const level = levels[i] as string | typeof anyLevel;
    const next: RuleNode[] = [];
    for (let n = 0; n < nodes.length; n++) {
      const node = nodes[n] as RuleNode;
      if (node.rests !== undefined) alone.push(...node.rests);
      if (node.any !== undefined && !(i === 0 && isDollar(level))) next.push(node.any);
      if (level !== anyLevel) {
        const text = node.texts?.get(level);
        if (text !== undefined) next.push(text);
      }
      if (node.attributes !== undefined) stepByAttribute(node, level, values, next, nearest, i);
    }
    if (next.length > 0 && i + 1 > nearest.depth) setNearest(nearest, i + 1, next[0]?.sample);
    nodes = next;
  }
  for (const { rests } of nodes) if (rests !== undefined) alone.push(...rests);
  if (!rest) for (const { ends } of nodes) if (ends !== undefined) alone.push(...ends);
  if (alone.length > 0 || !rest) return { alone, together: [] };
  return { alone, together: rulesTogether(nodes) };
}

function stepByAttribute(
  { attributes }: RuleNode,
  level: string | typeof anyLevel,
  values: Values,
  next: RuleNode[],
  nearest: Nearest,
  at: number,
): void {
  for (const [index, child] of attributes as Map<number, RuleNode>) {
    const value = values[index];
    if (value === undefined) {
      nearest.unsure = child.sample;
      nearest.unsureAt = at;
    } else if (value === level) next.push(child);
  }
}

function setNearest(nearest: Nearest, depth: number, rule: CompiledRule | undefined): void {
  nearest.depth = depth;
  nearest.rule = rule;
}

function rulesTogether(from: readonly RuleNode[]): readonly CompiledRule[] {
  const used: CompiledRule[] = [];
  let nodes = from;
  while (nodes.length > 0) {
    const open = nodes.find(({ rests }) => rests !== undefined)?.rests?.[0];
    if (open !== undefined) return [...used, open];
    const end = nodes.find(({ ends }) => ends !== undefined)?.ends?.[0];
    if (end === undefined) return [];
    used.push(end);
    nodes = nodes.flatMap(({ any }) => any ?? []);
  }
  return [];
}

/**
 * The first deny rule that something asked for meets. A rule with an attribute that the subject lacks cannot be decided,
 * so it meets every text there.
 */
export function ruleMeeting(
  roots: readonly RuleNode[],
  values: Values,
  { levels, rest }: Asked,
): CompiledRule | undefined {
  let nodes: readonly RuleNode[] = roots;
  for (let i = 0; i < levels.length && nodes.length > 0; i++) {
    const level = levels[i] as string | typeof anyLevel;
    const next: RuleNode[] = [];
    for (const node of nodes) {
      if (node.rests !== undefined) return node.rests[0];
      if (node.any !== undefined && !(i === 0 && isDollar(level))) next.push(node.any);
      for (const [index, child] of node.attributes ?? []) {
        const value = values[index];
        if (level === anyLevel || value === undefined || value === level) next.push(child);
      }
      if (level === anyLevel) {
        for (const [text, child] of node.texts ?? []) {
          if (i > 0 || !isDollar(text)) next.push(child);
        }
      } else {
        const text = node.texts?.get(level);
        if (text !== undefined) next.push(text);
      }
    }
    nodes = next;
  }
  for (const node of nodes) {
    const met = node.rests?.[0] ?? node.ends?.[0] ?? (rest ? node.sample : undefined);
    if (met !== undefined) return met;
  }
  return undefined;
}

/** No wildcard in the first level reaches names that begin with `$`, 5.0 [MQTT-4.7.2-1]. */
function isDollar(level: string | typeof anyLevel): boolean {
  return typeof level === "string" && level.charCodeAt(0) === 0x24;
}
