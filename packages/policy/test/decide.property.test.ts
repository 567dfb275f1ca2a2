import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { filterIncludes, parseTopicFilter, parseTopicName, topicMatches } from "@wardmq/mqtt";
import fc from "fast-check";
import { compilePolicy, decodePolicy, parsePolicy, type SubjectRights } from "../src/index.ts";
import { anyText, compiled, device, policyText, type Rules, service } from "./world.ts";

/** Rules use `a` and `b`; `c` is a text that stands in no rule, as the rest of the world does. */
const texts = ["a", "b", "c", ""];
const deepest = 3;

/** Every Topic Name of up to one level more than the deepest rule, with and without `$` in front. */
const universe = Array.from({ length: deepest + 1 }, (_, i) => i + 1)
  .flatMap((depth) => namesOf(depth))
  .filter((name) => name !== "");

function namesOf(depth: number): string[] {
  if (depth === 1) return [...texts, "$SYS", "$a"];
  return namesOf(depth - 1).flatMap((name) => texts.map((text) => `${name}/${text}`));
}

const subject = device("a", { org: "a", site: "b", ward: "a" });
const values: Readonly<Record<string, string>> = subject.attributes;

function filterArb(levels: readonly string[], firsts: readonly string[]): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom(...levels, ...firsts),
      fc.array(fc.constantFrom(...levels), { maxLength: deepest - 1 }),
      fc.boolean(),
    )
    .map(([first, more, rest]) => [first, ...more, ...(rest ? ["#"] : [])].join("/"))
    .filter((filter) => filter !== "");
}

const written = ["a", "b", "", "+", "+", "{org}", "{site}", "{id}"];
const publishRule = fc.oneof(filterArb(written, []), fc.constant("#"));
const subscribeRule = fc.oneof(filterArb(written, ["$SYS"]), fc.constant("#"));
const requested = fc.oneof(filterArb([...texts, "+", "+"], ["$SYS", "$a"]), fc.constant("#"));
const rulesArb = fc.record({
  publish: fc.array(publishRule, { maxLength: 4 }),
  subscribe: fc.array(subscribeRule, { maxLength: 4 }),
});

function rightsOf(rules: Rules): SubjectRights {
  return compiled({ r: rules }, [["r", "device:*"]]).rightsOf(subject);
}

/** The plain twin: braces replaced in the text, then matched as MQTT says. */
function matches(rule: string, name: string): boolean {
  const filter = rule.replaceAll(/\{(\w+)\}/g, (_, attribute) => values[attribute] ?? "");
  return topicMatches(parseTopicFilter(filter), parseTopicName(name));
}

const permits = (decision: { effect: string }) => decision.effect === "Permit";

/** Everything a subject can be told, as one text to compare. */
function effectsOf(rights: SubjectRights, filters: readonly string[]): string {
  return [
    ...universe.map((name) => rights.decidePublish(name).effect),
    ...universe.map((name) => rights.decideReceive(name).effect),
    ...filters.map((filter) => rights.decideSubscribe(filter).effect),
  ].join();
}

describe("against brute force over all small topic names", () => {
  test("a name is permitted exactly where a rule matches it", () => {
    fc.assert(
      fc.property(rulesArb, (rules) => {
        const rights = rightsOf(rules);
        for (const name of universe) {
          const isSent = !name.startsWith("$") && rules.publish.some((one) => matches(one, name));
          assert.equal(permits(rights.decidePublish(name)), isSent, name);
          const isRead = rules.subscribe.some((one) => matches(one, name));
          assert.equal(permits(rights.decideReceive(name)), isRead, name);
        }
      }),
      { numRuns: 80 },
    );
  });

  test("a filter is granted exactly where every name it matches may be received", () => {
    let granted = 0;
    fc.assert(
      fc.property(
        rulesArb,
        fc.array(requested, { minLength: 1, maxLength: 8 }),
        (rules, filters) => {
          const rights = rightsOf(rules);
          const readable = new Set(universe.filter((name) => permits(rights.decideReceive(name))));
          for (const filter of [...filters, ...rules.subscribe.filter((one) => !/[{]/.test(one))]) {
            const isSubset = universe
              .filter((name) => topicMatches(parseTopicFilter(filter), parseTopicName(name)))
              .every((name) => readable.has(name));
            assert.equal(permits(rights.decideSubscribe(filter)), isSubset, filter);
            if (isSubset) granted += 1;
          }
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(granted > 100, "hardly any filter was granted: the test shows nothing");
  });

  test("one rule grants exactly the filters that it includes, for all small pairs", () => {
    const firsts = ["a", "b", "", "+", "$SYS"];
    const levels = ["a", "", "+"];
    const two = firsts.flatMap((first) => [first, ...levels.map((level) => `${first}/${level}`)]);
    const three = two.flatMap((part) => levels.map((level) => `${part}/${level}`));
    const open = [...two, ...three].flatMap((part) => [part, `${part}/#`]);
    const all = ["#", ...new Set(open)].filter((filter) => filter !== "");
    for (const rule of all) {
      const rights = rightsOf({ subscribe: [rule] });
      for (const filter of all) {
        const includes = filterIncludes(parseTopicFilter(rule), parseTopicFilter(filter));
        const asked = `${rule} asked for ${filter}`;
        assert.equal(permits(rights.decideSubscribe(filter)), includes, asked);
      }
    }
  });
});

describe("whatever the policy", () => {
  const filters = ["#", "+", "a/#", "a/+", "+/a", "b", "a/b", "$SYS/#", "+/+/#", "a/+/#"];

  test("the order of rules, roles and bindings never matters", () => {
    const shuffled = fc.array(rulesArb, { minLength: 1, maxLength: 3 }).chain((roles) =>
      fc.record({
        roles: fc.constant(roles),
        order: fc.shuffledSubarray([...roles.keys()], { minLength: roles.length }),
        seed: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(shuffled, ({ roles, order, seed }) => {
        const names = roles.map((_, i) => `r${i}`);
        const bind = (list: string[]) => list.map((name) => [name, "device:*"] as const);
        const one = compiled(Object.fromEntries(roles.map((r, i) => [`r${i}`, r])), bind(names));
        const turn = <T>(list: readonly T[]) => {
          const by = list.length === 0 ? 0 : seed % list.length;
          return [...list.slice(by), ...list.slice(0, by)].reverse();
        };
        const other = compiled(
          Object.fromEntries(
            order.map((i) => [
              `r${i}`,
              {
                publish: turn(roles[i]?.publish ?? []),
                subscribe: turn(roles[i]?.subscribe ?? []),
              },
            ]),
          ),
          bind(names.toReversed()),
        );
        assert.equal(
          effectsOf(one.rightsOf(subject), filters),
          effectsOf(other.rightsOf(subject), filters),
        );
      }),
      { numRuns: 60 },
    );
  });

  test("adding a rule, a role or a binding never removes a right", () => {
    const more = fc.tuple(rulesArb, publishRule, subscribeRule, rulesArb);
    fc.assert(
      fc.property(more, ([rules, publish, subscribe, role]) => {
        const before = rightsOf(rules);
        const wider = {
          publish: [publish, ...rules.publish],
          subscribe: [subscribe, ...rules.subscribe],
        };
        const bindings = [
          ["q", "device:*"],
          ["r", "device:*"],
        ] as const;
        const after = compiled({ q: role, r: wider }, bindings).rightsOf(subject);
        for (const name of universe) {
          if (permits(before.decidePublish(name))) assert.ok(permits(after.decidePublish(name)));
          if (permits(before.decideReceive(name))) assert.ok(permits(after.decideReceive(name)));
        }
        for (const filter of filters) {
          if (permits(before.decideSubscribe(filter))) {
            assert.ok(permits(after.decideSubscribe(filter)), filter);
          }
        }
      }),
      { numRuns: 80 },
    );
  });

  test("a rule with an attribute that the subject lacks is as if it were not there", () => {
    const lame = fc.constantFrom(
      "{model}",
      "a/{model}",
      "{model}/#",
      "+/{model}/+",
      "{org}/{model}",
    );
    fc.assert(
      fc.property(rulesArb, lame, (rules, rule) => {
        const added = { publish: [...rules.publish, rule], subscribe: [rule, ...rules.subscribe] };
        assert.equal(effectsOf(rightsOf(added), filters), effectsOf(rightsOf(rules), filters));
      }),
      { numRuns: 60 },
    );
  });

  test("a policy that travelled as JSON decides alike", () => {
    fc.assert(
      fc.property(rulesArb, (rules) => {
        const policy = parsePolicy(policyText({ r: rules }, [["r", "device:*"]]));
        const travelled = decodePolicy(JSON.parse(JSON.stringify(policy)));
        assert.deepEqual(travelled, policy);
        const rights = compilePolicy(travelled).rightsOf(subject);
        assert.equal(effectsOf(rights, filters), effectsOf(rightsOf(rules), filters));
      }),
      { numRuns: 40 },
    );
  });
});

describe("whatever the record", () => {
  const odd = fc
    .oneof(anyText, fc.constantFrom("+", "#", "/", "a/#", "", "{org}", "$SYS", "a".repeat(65)))
    .filter((text) => !/^[A-Za-z0-9_-]{1,64}$/.test(text));

  test("text outside of the closed alphabet gives no right at all", () => {
    const open = compiled({ r: { publish: ["#", "{ward}"], subscribe: ["#", "{ward}/#"] } }, [
      ["r", "device:*"],
    ]);
    const topic = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("a", "#", "+/x", "b/c"));
    const attribute = fc.constantFrom("org", "site", "ward", "id", "model", "other", "__proto__");
    fc.assert(
      fc.property(attribute, odd, topic, (name, text, asked) => {
        const attributes = JSON.parse(
          `{"org": "a", "site": "a", "ward": "a", "id": "a", ${JSON.stringify(name)}: ${JSON.stringify(text)}}`,
        );
        const id = `device:${attributes.id}`;
        const rights = open.rightsOf({ id, kind: "device", attributes });
        assert.equal(permits(rights.decidePublish(asked)), false);
        assert.equal(permits(rights.decideSubscribe(asked)), false);
        assert.equal(permits(rights.decideReceive(asked)), false);
      }),
      { numRuns: 500 },
    );
  });

  test("a subject reaches only topics that hold its own attributes", () => {
    const value = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
    const own = compiled({ r: { publish: ["{org}/{id}/x"], subscribe: ["{org}/{id}/#"] } }, [
      ["r", "service:*"],
    ]);
    fc.assert(
      fc.property(value, value, value, value, (org, id, otherOrg, otherId) => {
        const rights = own.rightsOf(service(id, org));
        const isOwn = org === otherOrg && id === otherId;
        assert.equal(permits(rights.decidePublish(`${otherOrg}/${otherId}/x`)), isOwn);
        assert.equal(permits(rights.decideSubscribe(`${otherOrg}/${otherId}/+`)), isOwn);
        assert.ok(permits(rights.decidePublish(`${org}/${id}/x`)));
        assert.ok(!permits(rights.decideSubscribe(`${org}/+/#`)));
      }),
      { numRuns: 300 },
    );
  });
});

describe("whatever a client asks for", () => {
  test("a decision is made and its hint is printable", () => {
    const rights = rightsOf({ publish: ["{org}/+/x", "a/#"], subscribe: ["{org}/+/x", "a/#"] });
    const asked = fc.oneof(
      anyText,
      fc
        .array(fc.constantFrom("a", "+", "#", "/", "$", "\0", "x"), { maxLength: 12 })
        .map((all) => all.join("")),
    );
    fc.assert(
      fc.property(asked, (text) => {
        for (const decision of [
          rights.decidePublish(text),
          rights.decideSubscribe(text),
          rights.decideReceive(text),
        ]) {
          if (permits(decision)) assert.equal(typeof decision.ruleId, "string");
          else assert.match(decision.hint ?? "", /^[\x20-\x7e]+$/);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
