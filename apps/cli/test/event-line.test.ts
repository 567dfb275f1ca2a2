import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventLine } from "../src/event-line.ts";

describe("the line of an event", () => {
  test("keeps a text with spaces and quotes one field", () => {
    const event = { type: "publish-denied", at: 0, clientId: "a subject=b", why: 'wants "c"' };
    assert.equal(
      eventLine(event),
      '1970-01-01T00:00:00.000Z warning publish-denied clientId="a subject=b" why="wants \\"c\\""',
    );
  });

  test("escapes what is no text for a terminal", () => {
    assert.match(
      eventLine({ type: "connected", at: 0, topic: "a\u001b[2J" }),
      /topic=a\\u\{1b\}\[2J$/,
    );
  });
});
