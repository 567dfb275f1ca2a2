import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseTopicName, type TopicName } from "../src/index.ts";

const refused = {
  "an empty text": "",
  "+": "+",
  "#": "#",
  "a wildcard level": "a/+/b",
  "a wildcard at the end": "a/#",
  "a wildcard inside a level": "a+b",
  "a # inside a level": "a#b",
  "U+0000": "a\0b",
  "a lone surrogate": "a\ud800",
  "65,536 bytes": "a".repeat(65_536),
  "65,536 bytes of fewer characters": "é".repeat(32_768),
};

const accepted = ["a", "/", "//", "a/", "/a", " ", "a b", "$SYS/x", "$share/g/x", "é", "😀"];

describe("a Topic Name", () => {
  for (const [name, text] of Object.entries(refused)) {
    test(`is not made of ${name}`, () => {
      assert.throws(() => parseTopicName(text), { code: "ERR_MQTT_TOPIC_NAME", reasonCode: 0x90 });
    });
  }

  for (const text of [...accepted, "a".repeat(65_535)]) {
    test(`is made of ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.equal(parseTopicName(text), text);
    });
  }

  test("is a type of its own", () => {
    // @ts-expect-error: a text is not a Topic Name before it was parsed
    const name: TopicName = "a/b";
    assert.equal(name, "a/b");
  });
});
