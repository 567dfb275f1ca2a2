import { printable } from "@wardmq/events";
import { phiDetectorNames } from "../phi/detectors.ts";
import { parseBindingTarget } from "./binding-target.ts";
import {
  type Action,
  type Assertion,
  type Binding,
  type ClaimRule,
  type CommandTopic,
  type DenyRule,
  type Grant,
  type Group,
  type LoginRequirement,
  namePattern,
  type PhiPart,
  type Policy,
  type PolicyTest,
  placeAttributes,
  policyLimits,
  type Role,
  type RoleLimits,
  type Rule,
  segmentPattern,
  subjectKinds,
  type Tenant,
  type Topics,
  type Where,
} from "./policy.ts";
import { isFault, parseRulePattern } from "./rule-pattern.ts";
import {
  condition,
  type Fault,
  type NumberShape,
  optional,
  type RecordShape,
  record,
  required,
  type Shape,
  type TextShape,
} from "./shape.ts";
import { parseTemplate, standardCommandSeconds, standardTopics } from "./template.ts";

const filterList = '["{org}/{site}/{ward}/device/{id}/telemetry"]';

/** A text that must be of the closed alphabet, or another pattern. */
function word(what: string, pattern = namePattern, hint = "use 1 to 64 letters, digits, _ or -") {
  return {
    is: "text",
    what,
    pattern: pattern.source,
    check: (text) =>
      pattern.test(text) ? undefined : { at: 0, message: expectedText(what, text), hint },
  } as const satisfies TextShape;
}

function expectedText(what: string, text: string): string {
  return `expected ${what}, found "${printable(text, 64)}"`;
}

const oneOf = (what: string, values: readonly string[]): TextShape => ({
  is: "text",
  what,
  oneOf: values,
});

const list = (what: string, hint: string, of: Shape): Shape => ({ is: "list", what, hint, of });

/** Names of people and reasons: any visible line. */
const line = (what: string): TextShape => ({
  ...word(what, /^[\p{L}\p{N}\p{P}\p{S} ]{1,256}$/u, "write one line of visible text"),
  pattern: "^.{1,256}$",
});

const timePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$/;
const time: TextShape = {
  is: "text",
  what: "a time in UTC",
  pattern: timePattern.source,
  check: (text) =>
    timePattern.test(text) && !Number.isNaN(Date.parse(text))
      ? undefined
      : {
          at: 0,
          message: expectedText("a time in UTC", text),
          hint: 'write "2026-11-27T08:00:00Z"',
        },
};

function filter(action: Action): TextShape {
  return {
    is: "text",
    what: "a topic filter",
    check: (text): Fault | undefined => {
      const pattern = parseRulePattern(text, action);
      return isFault(pattern) ? pattern : undefined;
    },
  };
}

const to: TextShape = {
  is: "text",
  what: "a device or service",
  check: (text) => {
    const target = parseBindingTarget(text);
    if (!("hint" in target)) return undefined;
    return { at: 0, message: expectedText("a device or service", text), hint: target.hint };
  },
};

const subject: TextShape = {
  is: "text",
  what: "a subject",
  check: (text) => {
    const target = parseBindingTarget(text);
    if ("kind" in target && !target.every) return undefined;
    const hint = 'write "device:<uuid>", "service:<name>", "person:<name>" or "app:<name>"';
    return { at: 0, message: expectedText("a subject", text), hint };
  },
};

const roleName: TextShape = { is: "text", what: "a role's name", refersTo: "role" };
const qos: NumberShape = { is: "number", what: "0, 1 or 2", minimum: 0, maximum: 2 };
const number = (what: string, maximum: number): NumberShape => ({
  is: "number",
  what,
  minimum: 1,
  maximum,
});

function rule(action: Action): Shape {
  const text = filter(action);
  const publishOnly = (shape: Shape, summary: string) =>
    optional(shape, `${summary} (publish only)`);
  const fields = {
    filter: required(text, "the topic filter"),
    qos: optional(qos, "the highest QoS; left out, 2"),
    retain: publishOnly(
      oneOf("never or allowed", ["never", "allowed"]),
      "whether messages may be retained; left out, `never`",
    ),
    retainSeconds: publishOnly(
      number("a number of seconds", 315_360_000),
      "the longest life of a retained message; left out, `limits.retainedSeconds` of wardmq.yaml alone",
    ),
    payloadBytes: publishOnly(number("a number of bytes", 268_435_455), "the longest payload"),
    contentType: publishOnly(
      word("a content type", /^[\w.+-]+\/[\w.+-]+$/, 'write it as "application/json"'),
      "the Content Type that every message must have, which MQTT 5.0 carries",
    ),
    envelope: optional(
      oneOf("required or optional", ["required", "optional"]),
      "whether payloads must come in an envelope; written down now, enforced later",
    ),
  };
  return {
    is: "short",
    field: "filter",
    text,
    record: record<Rule>(`{ filter: ${filterList.slice(1, -1)}, qos: 1 }`, fields),
  };
}

const rules = (action: Action) =>
  list("a list of topic filters", `write ${filterList}`, rule(action));
const filters = (action: Action) =>
  list("a list of topic filters", `write ${filterList}`, {
    is: "short",
    field: "filter",
    text: filter(action),
  });

const where: RecordShape = record<Where>("{ ward: icu-3 }", {
  org: optional(word("an organisation"), "the organisation"),
  site: optional(word("a site"), "the site"),
  ward: optional(word("a ward"), "the ward"),
  model: optional(word("a model"), "the model"),
});

const limits = record<RoleLimits>("{ messagesPerSecond: 20 }", {
  messagesPerSecond: optional(number("a number", 1_000_000), "messages a second"),
  bytesPerSecond: optional(number("a number", 1_000_000_000), "bytes a second"),
  connections: optional(number("a number", 1_000_000), "connections of one subject at once"),
  inflight: optional(number("a number", 65_534), "unacknowledged messages at once"),
});

const texts = (what: string) => list(`a list of texts`, `write [${what}]`, line("a text"));
const requires = record<LoginRequirement>("{ amr: [mfa] }", {
  acr: condition(texts("gold"), "the token's `acr` is one of these"),
  amr: condition(texts("mfa"), "the token's `amr` holds all of these"),
  certificateBound: optional(
    { is: "truth", what: "true or false" },
    "whether the token must be bound to the certificate of the connection (RFC 8705)",
  ),
});

const role: RecordShape = record<Omit<Role, "name">>(`publish: ${filterList}`, {
  publish: optional(rules("publish"), "what it may publish to; left out, nothing"),
  subscribe: optional(rules("subscribe"), "what it may subscribe to; left out, nothing"),
  limits: optional(limits, "limits of its subjects"),
  requires: optional(requires, "how people must have logged in; only `claims` give such a role"),
});

const names = (what: string) =>
  list(`a list of ${what}s`, "write [main, north]", word(`a ${what}`));
const group = record<Omit<Group, "name">>("{ kind: device, ward: [icu-3] }", {
  kind: required(oneOf("a kind of subject", subjectKinds), "device, service, person or app"),
  org: condition(names("organisation"), "of one of these organisations"),
  site: condition(names("site"), "at one of these sites"),
  ward: condition(names("ward"), "in one of these wards"),
  model: condition(names("model"), "of one of these models"),
});

const bindingExample = '{ role: bedside-device, to: "device:*" }';
const bindingFields = {
  role: required(roleName, "the name of a role"),
  to: required(
    to,
    "`device:*`, `device:<uuid>`, `service:<name>`, `person:<name>`, `app:<name>`, `group:<name>`",
  ),
  where: optional(where, "narrows the role to topics of this place"),
};
const binding = record<Binding>(bindingExample, bindingFields);

const grant = record<Grant>(
  '{ role: field-service, to: "service:acme", until: "2026-12-01T00:00:00Z", reason: ..., approvedBy: ... }',
  {
    ...bindingFields,
    from: optional(time, "when it begins; left out, at once"),
    until: optional(time, "when it ends; left out, never, which is a finding"),
    reason: required(line("a reason"), "why, for who reads it later"),
    approvedBy: required(line("a name"), "who agreed"),
  },
);

const claimExample = "{ issuer: hospital, claim: groups, value: nurses, role: nurse }";
const claim = record<ClaimRule>(claimExample, {
  issuer: required(
    word("an issuer", /^[a-z0-9-]{1,16}$/, "write its name in issuers.yaml"),
    "the name of an issuer in `issuers.yaml`",
  ),
  claim: required(
    {
      is: "list",
      what: "a claim, or the names that lead to it",
      hint: "write groups, or [realm_access, roles]",
      of: line("a name"),
      orOne: true,
    },
    "the claim; a list of names leads into an object",
  ),
  value: required(line("a value"), "what it is, or one of its list: exactly this"),
  role: required(roleName, "the role it gives"),
});

const deny = record<DenyRule>(
  '{ to: "service:*", publish: ["{org}/+/+/device/+/command"], reason: ... }',
  {
    to: optional(to, "whom it means; left out, everybody"),
    publish: optional(filters("publish"), "what they never publish to"),
    subscribe: optional(filters("subscribe"), "what they never read"),
    reason: required(line("a reason"), "why, for who reads it later"),
  },
);

const levelValue = word(
  "a value of a level",
  new RegExp(`^${segmentPattern.source.slice(1, -1)}(/${segmentPattern.source.slice(1, -1)})*$`),
  "use letters, digits, _ . : ~ @ or -, and / between levels",
);
const templateText = (what: string, isWanted: (text: string) => Fault | undefined): TextShape => ({
  is: "text",
  what,
  check: (text) => {
    const template = parseTemplate(text);
    return "message" in template ? template : isWanted(text);
  },
});
const addressed = templateText("a template with {uuid}", (text) =>
  text.split("/").includes("{uuid}") && !text.endsWith("/#")
    ? undefined
    : {
        at: 0,
        message: expectedText("a template with {uuid} and without #", text),
        hint: "{uuid} is the device that the command is for",
      },
);
const topics = record<Topics>("{ schema: strict }", {
  schema: optional(
    oneOf("strict or off", ["strict", "off"]),
    "`strict`: every topic must match a template; `off` is a finding; left out, `strict`",
  ),
  templates: optional(
    list("a list of templates", 'write ["{org}/{site}/{ward}/device/{uuid}/{channel}"]', {
      is: "short",
      field: "template",
      text: templateText("a template", () => undefined),
    }),
    "the forms a topic may have; left out, the standard ones",
  ),
  levels: optional(
    {
      is: "named",
      what: "a map of levels",
      hint: "write { channel: [telemetry, alarm] }",
      name: "a level's name",
      of: list("a list of values", "write [telemetry, alarm]", levelValue),
      as: "values",
    },
    "what may stand for a level in braces; one that is not here may be any name",
  ),
  commands: condition(
    list("a list of command topics", `write ["${standardTopics.commands[0]}"]`, {
      is: "short",
      field: "topic",
      text: addressed,
      record: record<CommandTopic>(
        `{ topic: "${standardTopics.commands[0]}", within: ${standardCommandSeconds} }`,
        {
          topic: required(addressed, "where commands go; their answers go to `response` below it"),
          within: optional(
            number("a number of seconds", 3_600),
            `how long an answer may take; left out, ${standardCommandSeconds}`,
          ),
        },
      ),
    }),
    "topics of commands; left out, the standard one, and with `schema: off` none",
  ),
});

const tenant = record<Omit<Tenant, "name">>("{ topics: { schema: strict } }", {
  topics: optional(topics, "topics of this tenant; left out, those of the policy"),
});

/** The kinds of assertion; `packages/policy/src/prove` decides them. */
export const assertionForms = {
  publish: "nobody but `except` (or none of `by`) can publish to a topic of `on`",
  subscribe: "nobody but `except` (or none of `by`) can read a topic of `on`",
  retain: "nobody can publish a retained message to a topic of `on`",
  share: "devices that differ in an attribute of `across` can never publish to one topic",
  stray: "a device can publish only to topics that hold its own id",
} as const satisfies Record<NonNullable<Assertion["never"]>, string>;

const modes = oneOf("block, warn or off", ["block", "warn", "off"]);
const phi = record<PhiPart>('{ mode: block, recordNumbers: ["MR######"] }', {
  mode: optional(modes, "the mode of every detector; left out, each has its own"),
  detectors: optional(
    {
      is: "named",
      what: "a map of detectors",
      hint: "write { name: warn }",
      name: "a detector's name",
      names: phiDetectorNames,
      of: modes,
      as: "mode",
    },
    `the mode of single ones: ${phiDetectorNames.join(", ")}`,
  ),
  recordNumbers: optional(
    list(
      "a list of patterns",
      'write ["MR######"]',
      word(
        "a pattern",
        /^[A-Za-z0-9#@-]{4,32}$/,
        "use # for a digit, @ for a letter, - and fixed characters",
      ),
    ),
    "patterns of this site's medical record numbers: `#` is a digit, `@` a letter",
  ),
  allow: optional(
    list("a list of words", "write [unit-7]", line("a word")),
    "words that are never a finding",
  ),
});

const roleNames = list("a list of roles", "write [updater]", word("a role's name"));
const assertion = record<Assertion>(
  '{ id: no-commands, never: publish, on: ["+/+/+/device/+/command"], except: [ward-console] }',
  {
    id: required(word("an id"), "its name; that of a standard assertion changes its `except`"),
    never: optional(
      oneOf("what must never be", Object.keys(assertionForms)),
      "what must never be possible; left out only for a standard assertion",
    ),
    on: optional(filters("subscribe"), "the topics it is about; left out, all"),
    by: optional(roleNames, "the roles it is about; left out, all"),
    except: optional(roleNames, "roles it is not about"),
    across: optional(
      list(
        "a list of attributes",
        "write [org, site, ward]",
        oneOf("an attribute", placeAttributes),
      ),
      "for `share`: devices that differ in one of these; left out, org, site and ward",
    ),
  },
);

const policyTest = record<PolicyTest>(
  '{ subject: "service:dashboard", with: { org: st-anna }, subscribe: "st-anna/#", expect: Deny }',
  {
    subject: required(subject, "who asks"),
    with: optional(where, "the attributes of its record"),
    roles: condition(roleNames, "the roles its token gives it, of a person or an app"),
    publish: optional({ is: "text", what: "a topic name" }, "the topic name it publishes to"),
    subscribe: optional({ is: "text", what: "a topic filter" }, "or the filter it subscribes to"),
    qos: optional(qos, "the QoS; left out, 0"),
    retain: optional({ is: "truth", what: "true or false" }, "whether it is retained"),
    at: optional(time, "when; left out, now"),
    expect: required(oneOf("Permit or Deny", ["Permit", "Deny"]), "Permit or Deny"),
  },
);

const named = (what: string, hint: string, name: string, of: Shape): Shape => ({
  is: "named",
  what,
  hint,
  name,
  of,
});

/** The whole language, as docs/policy.md and the JSON Schema tell it. */
export const policyShape: RecordShape = record<Policy>("roles: and bindings:", {
  environment: optional(
    word("an environment"),
    "the environment it is for, as `prod`; a deployment of another refuses it",
  ),
  tenants: optional(
    named("a map of tenants", "write { st-anna: {} }", "an organisation", tenant),
    "the organisations it is for; left out, all that are registered",
  ),
  topics: optional(topics, "what every topic looks like; left out, the standard topics"),
  groups: optional(
    named(
      "a map of groups",
      "write { icu: { kind: device, ward: [icu-3] } }",
      "a group's name",
      group,
    ),
    "subjects by attribute",
  ),
  roles: required(
    named(
      "a map of roles",
      'write a name for each role, or "roles: {}" to allow nothing',
      "a role name",
      role,
    ),
    "what can be allowed",
  ),
  bindings: optional(
    list("a list of bindings", `write - ${bindingExample}`, binding),
    "who has a role; left out, nobody",
  ),
  grants: optional(
    list("a list of grants", "write - { role: ... }", grant),
    "who has one for a time",
  ),
  claims: optional(
    list("a list of claims", `write - ${claimExample}`, claim),
    "which roles the claims of tokens give",
  ),
  deny: optional(
    list("a list of deny rules", "write - { publish: ... }", deny),
    "what nobody may do",
  ),
  phi: optional(phi, "how text of clients is searched for identifiers of patients"),
  assert: optional(
    list("a list of assertions", "write - { id: ... }", assertion),
    "what must never be possible",
  ),
  tests: optional(list("a list of tests", "write - { subject: ... }", policyTest), "examples"),
});

/** Rules of all roles and deny rules of a policy. */
export function countRules({ roles, deny }: Pick<Policy, "roles" | "deny">): number {
  const count = (part: { publish: readonly unknown[]; subscribe: readonly unknown[] }) =>
    part.publish.length + part.subscribe.length;
  return [...roles, ...deny].reduce((sum, part) => sum + count(part), 0);
}

export const tooManyRules = (found: number) =>
  `expected at most ${policyLimits.rules} rules, found ${found}`;

/** A binding knows no login, so whoever has it would have the role however they came. */
export const boundLogin = (role: string) =>
  `expected a role without requires, found "${printable(role, 64)}"`;
export const giveByClaims = "give it by claims: only a token says how somebody logged in";
