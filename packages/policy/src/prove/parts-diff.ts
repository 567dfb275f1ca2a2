import { printable } from "@wardmq/events";
import { describeClaim } from "../decide/assignments.ts";
import {
  type Assertion,
  type CommandTopic,
  type Grant,
  type Place,
  type Policy,
  placeAttributes,
  type Topics,
} from "../language/policy.ts";
import { standardCommandSeconds } from "../language/template.ts";

/** Something of a policy that is no right, and that only one of two policies says, or says otherwise. */
export interface PartDifference {
  /** `topics.templates`, `roles.pump.limits.connections`, `assert.no-commands`. */
  readonly path: string;
  /** What the former policy says; absent where it says nothing, or has not this one of a list. */
  readonly former?: string;
  readonly next?: string;
  /** In the next policy; of what it no longer has, in the former one. */
  readonly place: Place;
}

/** A value, or one of the values of a list. */
interface Fact {
  readonly path: string;
  readonly value: string;
  readonly isItem: boolean;
  readonly place: Place;
}

/**
 * What differs beside rights: the environment, tenants, the topic schema, grants with their times, claims, what roles
 * require, limits, the search for identifiers of patients, and assertions. The order of lists means nothing.
 */
export function diffParts(former: Policy, next: Policy): readonly PartDifference[] {
  const [before, after] = [byKey(former), byKey(next)];
  const changed = [...after].flatMap(([key, { path, value, place }]): PartDifference[] => {
    const was = before.get(key)?.value;
    if (was === value) return [];
    return [{ path, ...(was === undefined ? {} : { former: was }), next: value, place }];
  });
  const gone = [...before].flatMap(([key, { path, value, place }]) =>
    after.has(key) ? [] : [{ path, former: value, place }],
  );
  return [...changed, ...gone];
}

/** What of a change a trial beside the policy in force cannot show, for it compares decisions and nothing else. */
export function untriedParts(inForce: Policy, onTrial: Policy): readonly string[] {
  return diffParts(inForce, onTrial)
    .filter(({ path }) => untried.test(path))
    .map(describePart);
}

const untried = /^claims$|^phi\.|^roles\.[^.]+\.(requires|limits)\.|(^|\.)topics\.commands$/;

/** A difference in one line: `roles.pump.limits.connections: 2, was 1`. */
export function describePart({ path, former, next }: PartDifference): string {
  if (next === undefined) return `${path}: no longer ${printable(former ?? "")}`;
  const was = former === undefined ? "" : `, was ${printable(former)}`;
  return `${path}: ${former === undefined ? "now " : ""}${printable(next)}${was}`;
}

function byKey(policy: Policy): ReadonlyMap<string, Fact> {
  const keyOf = ({ path, value, isItem }: Fact) => JSON.stringify([path, isItem ? value : null]);
  return new Map(factsOf(policy).map((fact) => [keyOf(fact), fact]));
}

const start: Place = { line: 1, column: 1 };

function factsOf(policy: Policy): readonly Fact[] {
  const { environment, tenants, topics, claims, roles, phi } = policy;
  return [
    ...values("", { environment }, start),
    ...topicFacts("topics", topics),
    ...tenants.flatMap((tenant) => [
      ...items("tenants", [tenant.name], tenant),
      ...topicFacts(`tenants.${tenant.name}.topics`, tenant.topics),
    ]),
    ...policy.grants.flatMap((one) => items("grants", [grantText(one)], one)),
    ...claims.flatMap((claim) =>
      items("claims", [`${describeClaim(claim)} have the role ${claim.role}`], claim),
    ),
    ...roles.flatMap(({ name, requires, limits }) => [
      ...values(`roles.${name}.requires`, requires),
      ...values(`roles.${name}.limits`, limits),
    ]),
    ...values("phi", { mode: phi?.mode }, phi),
    ...(phi?.detectors ?? []).flatMap(({ name, mode, ...place }) =>
      values("phi.detectors", { [name]: mode }, place),
    ),
    ...items("phi.recordNumbers", phi?.recordNumbers ?? [], phi),
    ...items("phi.allow", phi?.allow ?? [], phi),
    ...policy.assert.flatMap((one) => values("assert", { [one.id]: assertionText(one) }, one)),
  ];
}

function topicFacts(path: string, topics: Topics | undefined): readonly Fact[] {
  if (topics === undefined) return [];
  const { schema, templates, levels, commands } = topics;
  return [
    ...values(path, { schema }, topics),
    ...templates.flatMap((one) => items(`${path}.templates`, [one.template], one)),
    ...levels.flatMap((level) => items(`${path}.levels.${level.name}`, level.values, level)),
    ...(commands?.length === 0 ? items(`${path}.commands`, ["none"], topics) : []),
    ...(commands ?? []).flatMap((one) => items(`${path}.commands`, [commandText(one)], one)),
  ];
}

function commandText({ topic, within = standardCommandSeconds }: CommandTopic): string {
  return `${topic} within ${within} s`;
}

function grantText({ role, to, where, from, until }: Grant): string {
  const places = Object.entries(where ?? {}).filter(([key]) =>
    (placeAttributes as readonly string[]).includes(key),
  );
  return [
    `${role} to ${to}`,
    ...places.map(([key, value]) => `${key} ${value}`),
    ...(from === undefined ? [] : [`from ${from}`]),
    until === undefined ? "without end" : `until ${until}`,
  ].join(", ");
}

function assertionText({ never, on, by, except, across }: Assertion): string {
  const parts = [
    never === undefined ? "as standard" : `never ${never}`,
    ...(on.length === 0 ? [] : [`on ${on.map(({ filter }) => filter).join(", ")}`]),
    ...(by.length === 0 ? [] : [`by ${by.join(", ")}`]),
    ...(except.length === 0 ? [] : [`except ${except.join(", ")}`]),
    ...(across.length === 0 ? [] : [`across ${across.join(", ")}`]),
  ];
  return parts.join(" ");
}

/** The keys of a record that are written, but for its place. */
function values(
  path: string,
  record: object | undefined,
  at: Place | undefined = record as Place | undefined,
): readonly Fact[] {
  const place = at ?? start;
  return Object.entries(record ?? {}).flatMap(([key, value]) => {
    if (value === undefined || key === "file" || key === "line" || key === "column") return [];
    const text = Array.isArray(value) ? value.join(", ") : String(value);
    return [{ path: path === "" ? key : `${path}.${key}`, value: text, isItem: false, place }];
  });
}

function items(path: string, list: readonly string[], at: Place | undefined): readonly Fact[] {
  return list.map((value) => ({ path, value, isItem: true, place: at ?? start }));
}
