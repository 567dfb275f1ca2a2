import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import type { MqttClient } from "mqtt";
import { published } from "../src/commands/people.ts";
import { wardmq } from "./wardmq.ts";

describe("sub and pub", () => {
  test("refuse what can come to no end, before they connect", async () => {
    for (const [words, said] of [
      [["pub", ""], /argument 'topic'\. write at least one character/],
      [["sub", ""], /argument 'filter'\. write at least one character/],
      ...["abc", "0", "-1", "1.5"].map(
        (count) => [["sub", "a", "--count", count], /write a number from 1 to /] as const,
      ),
    ] as const) {
      const { code, stderr } = await wardmq(words);
      assert.equal(code, 2, words.join());
      assert.match(stderr, said);
    }
  });

  test("wait for the answer to a message no longer than they say", async () => {
    const silent = Object.assign(new EventEmitter(), { publish: () => {} });
    // INVARIANT: published uses nothing else of it.
    const client = silent as unknown as MqttClient;
    await assert.rejects(published(client, "a", Buffer.from("x"), 10), {
      name: "Failure",
      message: "cannot publish to a: no answer in time",
    });
  });
});
