import { printable } from "@wardmq/events";
import { type Action, hasAttribute, type Rule, type SubjectKind } from "../language/policy.ts";
import { patternOf, type RulePattern } from "../language/rule-pattern.ts";
import { patternsMeet } from "./pattern-relations.ts";
import type { PolicyCheck } from "./policy-checks.ts";

/** A role and whom it is bound to. */
export interface BoundRole {
  readonly name: string;
  /** The `to` of each of its bindings. */
  readonly to: ReadonlySet<string>;
  readonly kinds: ReadonlySet<SubjectKind>;
}

/** A rule with what its checks look at. */
export interface RuleInContext extends Rule {
  readonly role: BoundRole;
  readonly action: Action;
  readonly id: string;
  readonly path: string;
  readonly pattern: RulePattern;
}

/** What a check has to say about a rule or role. */
export interface Remark {
  readonly message: string;
  readonly hint: string;
}

/** Topics on which a device is told what to do. */
export const controlTopics: readonly RulePattern[] = [
  "+/+/+/device/+/command",
  "+/+/+/device/+/config",
  "+/+/+/device/+/firmware/command",
].map(patternOf);

const deviceTopics = patternOf("+/+/+/device/+/#");
/** The index of the uuid's level in all of these. */
const uuidLevel = 4;

/** The checks that look at one rule, by name. */
export const ruleChecks: Partial<Record<PolicyCheck, (rule: RuleInContext) => Remark | undefined>> =
  {
    "every-topic": ({ pattern }) => {
      if (!isEveryTopic(pattern)) return undefined;
      const message = "reaches every topic of every organisation";
      return { message, hint: "begin it with {org} and name the channels that are needed" };
    },
    "leaves-organisation": ({ pattern }) => {
      const [first] = pattern.levels;
      const isFixed = first?.is === "text" || (first?.is === "attribute" && first.name === "org");
      if (isFixed || isEveryTopic(pattern)) return undefined;
      return { message: "reaches beyond one organisation", hint: "begin it with {org}" };
    },
    "whole-organisation": ({ pattern }) => {
      const [first, ...others] = pattern.levels;
      const isWhole = pattern.rest && others.every((level) => level.is === "any");
      if (!isWhole || first?.is === "any" || isSystem(pattern)) return undefined;
      const message = "reaches every topic below its first level, commands and configuration too";
      return { message, hint: "name the channels that are needed" };
    },
    "speaks-for-others": ({ role, action, pattern }) => {
      const isBound = action === "publish" && role.kinds.has("device");
      if (!isBound || isAboutOneDevice(role, pattern)) return undefined;
      const message = "lets one device speak for another, for it does not hold {id}";
      return { message, hint: "write {id} where the device's uuid stands" };
    },
    "reaches-other-devices": ({ role, action, pattern }) => {
      if (!role.kinds.has("device") || !patternsMeet(pattern, deviceTopics)) return undefined;
      if (action === "publish" && !isAboutOneDevice(role, pattern)) return undefined; // said above
      if (isOwnUuid(role, pattern)) return undefined;
      const message = "lets one device reach the topics of others";
      return { message, hint: "write {id} where the device's uuid stands, at level 5" };
    },
    "system-topics": ({ role, pattern }) => {
      if (!isSystem(pattern)) return undefined;
      if (!role.kinds.has("device") && !role.to.has("service:*")) return undefined;
      const message = "lets others than operators read the broker's own topics";
      return { message, hint: "bind the role to the services of operators, one by one" };
    },
    "never-applies": ({ role, pattern }) => {
      for (const level of pattern.levels) {
        if (level.is !== "attribute") continue;
        const kind = [...role.kinds].find((one) => hasAttribute(one, level.name) === "never");
        if (kind === undefined) continue;
        const to = [...role.to].find((one) => one.startsWith(`${kind}:`));
        const message = `never applies to ${to}, because a ${kind} has no ${level.name}`;
        return { message, hint: `write + or a fixed text in place of {${level.name}}` };
      }
      return undefined;
    },
    "unusual-text": ({ pattern }) => {
      const texts = pattern.levels.flatMap((level) => (level.is === "text" ? level.text : []));
      if (texts.includes("")) {
        const message = "has an empty level: a / at the beginning or the end, or two in a row";
        return { message, hint: "remove that / unless the topics have it too" };
      }
      const odd = texts.find((text) => !/^\$?[\w.:~@-]+$/.test(text));
      if (odd === undefined) return undefined;
      const hint = /^%[cu]$/.test(odd) ? "write {id}" : "make sure that the topics are spelled so";
      return { message: `takes the level "${printable(odd, 64)}" as it is written`, hint };
    },
  };

function isEveryTopic({ levels, rest }: RulePattern): boolean {
  return rest && levels.every((level) => level.is === "any");
}

function isSystem({ levels: [first] }: RulePattern): boolean {
  return first?.is === "text" && first.text.startsWith("$");
}

function isAboutOneDevice(role: BoundRole, pattern: RulePattern): boolean {
  const holdsId = pattern.levels.some((level) => level.is === "attribute" && level.name === "id");
  return holdsId || isOwnUuid(role, pattern);
}

/** Whether the uuid's level is the subject's own: `{id}`, or written out in a role of that device alone. */
function isOwnUuid({ to }: BoundRole, { levels }: RulePattern): boolean {
  const level = levels[uuidLevel];
  if (level?.is === "attribute") return level.name === "id";
  return level?.is === "text" && to.size === 1 && to.has(`device:${level.text}`);
}
