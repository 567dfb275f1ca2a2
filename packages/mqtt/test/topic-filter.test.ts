import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  filterIncludes,
  parseSharedSubscription,
  parseTopicFilter,
  parseTopicName,
  type TopicFilter,
  type TopicName,
  topicMatches,
} from "../src/index.ts";
import { topicFilter, topicName } from "./arbitrary-packet.ts";
import { matchesByLevels } from "./topic-twin.ts";

const refused = [
  "",
  "a+",
  "+a",
  "a/+b",
  "a/b+",
  "a/b+/c",
  "++",
  "+#",
  "#+",
  "a#",
  "#a",
  "#/",
  "#/a",
  "a/#/b",
  "a/b#",
  "##",
  "a\0",
  "\ud800/+",
  "a".repeat(65_536),
];
const accepted = [
  "a",
  "+",
  "#",
  "/",
  "+/",
  "/+",
  "/#",
  "+/#",
  "+/+",
  "a/+/b",
  "a/#",
  "//#",
  "$SYS/#",
];

describe("a Topic Filter", () => {
  for (const text of refused) {
    test(`is not made of ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.throws(() => parseTopicFilter(text), {
        code: "ERR_MQTT_TOPIC_FILTER",
        reasonCode: 0x8f,
      });
    });
  }

  for (const text of [...accepted, "a".repeat(65_535)]) {
    test(`is made of ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.equal(parseTopicFilter(text), text);
    });
  }

  test("is a type of its own", () => {
    // @ts-expect-error: a text is not a Topic Filter before it was parsed
    const filter: TopicFilter = "a/b";
    // @ts-expect-error: nor is a Topic Name
    const name: TopicFilter = parseTopicName("a/b");
    assert.equal(filter, name);
  });
});

describe("a Shared Subscription", () => {
  for (const text of [
    "$share/",
    "$share//",
    "$share//a",
    "$share/g",
    "$share/g/",
    "$share/g+/a",
    "$share/+/a",
    "$share/#",
    "$share/#/a",
    "$share/g#/a",
    "$share/g/a#",
    "$share/g/a+/b",
    "$share/g/#/b",
  ]) {
    test(`is not ${text}`, () => {
      assert.throws(() => parseSharedSubscription(text), {
        code: "ERR_MQTT_SHARED_SUBSCRIPTION",
        reasonCode: 0x8f,
      });
    });
  }

  test("names its group and its filter", () => {
    for (const [text, group, filter] of [
      ["$share/g/a", "g", "a"],
      ["$share/g/#", "g", "#"],
      ["$share/g//", "g", "/"],
      ["$share/g//a", "g", "/a"],
      ["$share/$x/$SYS/+", "$x", "$SYS/+"],
      ["$share/g/$share/h/a", "g", "$share/h/a"],
    ] as const) {
      assert.deepEqual(parseSharedSubscription(text), { group, filter }, text);
    }
  });

  test("is no filter that only looks like one", () => {
    for (const text of [
      "$share",
      "$shared/g/a",
      "$SHARE/g/a",
      "/$share/g/a",
      "share/g/a",
      "+/g/a",
    ]) {
      assert.equal(parseSharedSubscription(text), undefined, text);
    }
  });
});

const matchTable: readonly (readonly [filter: string, names: string[], others: string[]])[] = [
  ["a", ["a"], ["b", "A", "a/", "/a", "aa", "a/b"]],
  ["a/#", ["a", "a/", "a/b", "a/b/c", "a//", "a/$x"], ["b", "ab", "/a", "aa/b", "A/b"]],
  ["a/+", ["a/", "a/b", "a/$x"], ["a", "a/b/", "a/b/c", "ab"]],
  ["a/+/c", ["a/b/c", "a//c"], ["a/b/d", "a/b", "a/b/b/c", "a/c"]],
  ["a/+/#", ["a/b", "a/", "a/b/c/d"], ["a", "b/b"]],
  ["+", ["a", "ab"], ["/", "a/", "/a", "a/b", "$SYS", "$"]],
  ["+/+", ["/", "a/b", "/a"], ["a", "a/b/c", "$SYS/b", "$/"]],
  ["#", ["a", "/", "/a", "a/$x"], ["$SYS", "$SYS/a", "$"]],
  ["+/#", ["a", "/", "a/b/c"], ["$SYS", "$SYS/a"]],
  ["/#", ["/", "/a", "/$x"], ["a", "a/", "$SYS"]],
  ["/+", ["/a", "/"], ["a", "/a/"]],
  ["$SYS/#", ["$SYS", "$SYS/a"], ["a", "$SYSa", "$sys"]],
  ["$SYS/+", ["$SYS/a"], ["$SYS", "SYS/a"]],
  ["//", ["//"], ["/", "///", "a/"]],
  ["é", ["é"], ["e\u0301", "e"]],
];

const level = fc.constantFrom("", "a", "b", "$a");
/** Filters and names of few letters, so that they meet often. */
const smallName = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join("/"))
  .filter((text) => text !== "");
const smallFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => [...levels, ...(open ? ["#"] : [])].join("/"))
  .filter((text) => text !== "");

describe("a filter matches", () => {
  for (const [filter, names, others] of matchTable) {
    test(`${filter}: what it says and nothing else`, () => {
      for (const name of others) assert.equal(matches(filter, name), false, name);
      for (const name of names) assert.equal(matches(filter, name), true, name);
    });
  }

  test("exactly what its levels match one by one", () => {
    const pair = fc.oneof(fc.tuple(smallFilter, smallName), fc.tuple(topicFilter, topicName));
    fc.assert(
      fc.property(pair, ([filter, name]) => {
        assert.equal(matches(filter, name), matchesByLevels(filter, name));
      }),
      { numRuns: 5_000 },
    );
  });

  test("a name of 32,768 levels without recursion", () => {
    const name = "/".repeat(32_767);
    assert.equal(matches(`${"+/".repeat(32_767)}`, name), true);
    assert.equal(matches(`${"+/".repeat(32_766)}a`, name), false);
  });
});

const includeTable: readonly (readonly [outer: string, inner: string[], others: string[]])[] = [
  ["#", ["#", "a", "+", "+/#", "/", "a/#", "/#"], ["$SYS", "$SYS/#", "$SYS/+"]],
  ["+/#", ["#", "a", "+", "+/#", "a/#", "/"], ["$SYS", "$SYS/#"]],
  ["/#", ["/", "/a", "/+", "/+/#", "/#"], ["#", "a", "+/#", "+/+"]],
  ["/+/#", ["/#", "/a"], ["#", "a/b"]],
  ["+/+/#", ["+/+", "a/b", "a/+/#", "/", "/#"], ["#", "+/#", "a", "a/#", "+"]],
  ["a/#", ["a", "a/#", "a/+", "a/+/#", "a/b/c"], ["#", "+", "+/#", "+/b", "ab", "b", "/a"]],
  ["a/+", ["a/b", "a/", "a/+"], ["a", "a/#", "a/+/#", "a/b/c", "+/b", "+/+"]],
  ["+", ["a", "+"], ["#", "$SYS", "/", "a/b", "+/#"]],
  ["+/+", ["a/b", "+/b", "a/+", "/"], ["$SYS/a", "$SYS/+", "a", "a/#"]],
  ["$SYS/#", ["$SYS", "$SYS/+", "$SYS/a/#"], ["#", "+", "+/#", "$SYSa"]],
  ["$SYS/+", ["$SYS/$a"], ["+/+", "$SYS", "$SYS/#"]],
  ["a/b", ["a/b"], ["a/+", "+/b", "a", "a/b/", "a/b/#"]],
];

describe("a filter includes", () => {
  for (const [outer, inner, others] of includeTable) {
    test(`${outer}: the filters that match no more than it does`, () => {
      for (const one of others) assert.equal(includes(outer, one), false, one);
      for (const one of inner) assert.equal(includes(outer, one), true, one);
    });
  }

  test("another exactly when no name tells them apart, found by trying all", () => {
    const universe = namesUpTo(5, ["", "a", "b", "$a", "c"]);
    fc.assert(
      fc.property(smallFilter, smallFilter, (outer, inner) => {
        const parsed = { outer: parseTopicFilter(outer), inner: parseTopicFilter(inner) };
        const escapes = universe.some(
          (name) => topicMatches(parsed.inner, name) && !topicMatches(parsed.outer, name),
        );
        assert.equal(filterIncludes(parsed.outer, parsed.inner), !escapes);
      }),
      { numRuns: 1_500 },
    );
  });

  test("itself and what it matches, and what those include", () => {
    const small = smallFilter.map((text) => parseTopicFilter(text));
    fc.assert(
      fc.property(small, small, small, smallName, (a, b, c, name) => {
        assert.ok(filterIncludes(a, a));
        if (filterIncludes(a, b) && filterIncludes(b, c)) assert.ok(filterIncludes(a, c));
        assert.equal(filterIncludes(a, parseTopicFilter(name)), matches(a, name));
      }),
      { numRuns: 2_000 },
    );
  });
});

function matches(filter: string, name: string): boolean {
  return topicMatches(parseTopicFilter(filter), parseTopicName(name));
}

function includes(outer: string, inner: string): boolean {
  return filterIncludes(parseTopicFilter(outer), parseTopicFilter(inner));
}

/** Every Topic Name of at most so many of these levels. */
function namesUpTo(longest: number, levels: readonly string[]): readonly TopicName[] {
  let names = [...levels];
  const all = new Set(names);
  for (let length = 2; length <= longest; length++) {
    names = names.flatMap((name) => levels.map((one) => `${name}/${one}`));
    for (const name of names) all.add(name);
  }
  all.delete("");
  return [...all].map((name) => parseTopicName(name));
}
