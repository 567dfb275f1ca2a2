import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  type BrokerMessage,
  decodeBrokerMessage,
  encodeBrokerMessage,
  FeedError,
} from "../src/index.ts";

const ended = { connectionsClosed: 2, sessionsEnded: 1, messagesWithheld: 3 };

const difference = {
  act: "publish",
  kind: "device",
  topic: "{org}/{site}",
  inForce: { effect: "Permit", ruleId: "r/publish[0]", terms: "QoS 1" },
  onTrial: { effect: "Deny" },
  count: 2,
  example: { subject: "device:a", topic: "o/s" },
} as const;
const shadow = { id: "0".repeat(64), decisions: 3, uncounted: 0, differences: [difference] };
const certificate = {
  type: "server-certificate",
  serialNumber: "0AFF",
  notBefore: 1,
  notAfter: 2,
  isOurs: true,
} as const;
const ban = { of: "address 192.0.2.7", failures: 50, until: 1_000 };

const refused: readonly (readonly [string, unknown])[] = [
  ["of an unknown type", { type: "bogus" }],
  ["without a type", {}],
  ["hello with half a stand", { type: "hello", lineage: "ab" }],
  ["hello with a lineage that is none", { type: "hello", lineage: "../x", version: 1 }],
  ["hello with a negative version", { type: "hello", lineage: "ab", version: -1 }],
  ["hello with a state of control that is no text", { type: "hello", state: 1 }],
  ["hello with one of 5000 characters", { type: "hello", state: "x".repeat(5000) }],
  ["stored in what is no incarnation", { type: "stored", incarnation: "ab", number: 1 }],
  ["stored at a number that is none", { type: "stored", incarnation: "0".repeat(32), number: -1 }],
  [
    "applied with a fraction of a version",
    { type: "applied", version: 1.5, ...ended, milliseconds: 1 },
  ],
  [
    "applied without one number",
    { type: "applied", version: 1, ...ended, sessionsEnded: undefined, milliseconds: 1 },
  ],
  ["used with a fingerprint that is none", { type: "used", fingerprint: "AB".repeat(32) }],
  ["a foreign certificate that is no base64", { type: "foreign", certificate: "MII%" }],
  ["a foreign certificate without end", { type: "foreign", certificate: "A".repeat(70_000) }],
  ["applied without its numbers", { type: "applied", version: 1 }],
  ["applied in negative time", { type: "applied", version: 1, ...ended, milliseconds: -1 }],
  ["refused without a reason", { type: "refused", version: 1 }],
  [
    "refused with a reason of 5000 characters",
    { type: "refused", version: 1, why: "x".repeat(5000) },
  ],
  ["ready without addresses", { type: "ready" }],
  ["a request that is no text", { type: "certificate-request", request: [1] }],
  ["a request of 5000 characters", { type: "certificate-request", request: "x".repeat(5000) }],
  ["a renewal that failed without a reason", { type: "not-renewed" }],
  ["a certificate without its dates", { ...certificate, notAfter: undefined }],
  ["a certificate whose serial number is none", { ...certificate, serialNumber: "<script>" }],
  ["a certificate of whom it is not said", { ...certificate, isOurs: "yes" }],
  ["bans that are no list", { type: "bans", bans: {} }],
  ["a ban of nothing", { type: "bans", bans: [null] }],
  ["a ban of what is no address", { type: "bans", bans: [{ ...ban, of: "client id x" }] }],
  ["a ban of more than one word", { type: "bans", bans: [{ ...ban, of: "address 1 \u001b[2J" }] }],
  ["a ban without an end", { type: "bans", bans: [{ ...ban, until: undefined }] }],
  ["events that are no list", { type: "events", events: {} }],
  ["rules that are no texts", { type: "rules-used", rules: [1] }],
  ["a rule of 5000 characters", { type: "rules-used", rules: ["x".repeat(5000)] }],
  ["counts of nothing", { type: "shadow-counts" }],
  ["counts of a policy that is none", { type: "shadow-counts", ...shadow, id: "x" }],
  ["counts below zero", { type: "shadow-counts", ...shadow, decisions: -1 }],
  [
    "a difference without its example",
    { type: "shadow-counts", ...shadow, differences: [{ ...difference, example: undefined }] },
  ],
  [
    "a difference that decides otherwise than any policy",
    {
      type: "shadow-counts",
      ...shadow,
      differences: [{ ...difference, onTrial: { effect: "Maybe" } }],
    },
  ],
  [
    "more differences than a message may have",
    { type: "shadow-counts", ...shadow, differences: Array(501).fill(difference) },
  ],
];

const accepted: readonly BrokerMessage[] = [
  { type: "hello" },
  { type: "hello", lineage: "ab12", version: 0 },
  { type: "hello", state: "7 ab" },
  { type: "hello", lineage: "ab12", version: 0, state: "7 ab" },
  { type: "stored", incarnation: "0123456789abcdef".repeat(2), number: 7 },
  { type: "applied", version: 1, ...ended, milliseconds: 0.5 },
  { type: "refused", version: 1, why: "no" },
  { type: "used", fingerprint: "ab".repeat(32) },
  { type: "foreign", certificate: "MIIB" },
  { type: "snapshot-wanted" },
  { type: "ready", mqtts: "127.0.0.1:1", wss: "127.0.0.1:2" },
  { type: "bans", bans: [] },
  { type: "bans", bans: [ban, { ...ban, of: "address fe80::1%eth0" }] },
  { type: "rules-used", rules: ["r/publish[0]"] },
  { type: "shadow-counts", ...shadow },
  { type: "certificate-request", request: "MIIB" },
  certificate,
  { type: "not-renewed", why: "the disk is full" },
  { type: "events", events: [{ type: "connected" }, null] },
];

describe("a message of a broker", () => {
  for (const [name, value] of refused) {
    test(`is refused: ${name}`, () =>
      assert.throws(() => decodeBrokerMessage(JSON.stringify(value)), FeedError));
  }

  for (const message of accepted) {
    test(`says ${JSON.stringify(message)}`, () => {
      assert.deepEqual(decodeBrokerMessage(encodeBrokerMessage(message).trimEnd()), message);
    });
  }

  test("keeps nothing that we do not know", () => {
    const more = { ...accepted[0], __proto__: null, extra: 1 };
    assert.deepEqual(decodeBrokerMessage(JSON.stringify(more)), { type: "hello" });
  });

  test("is a message or a FeedError for any text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          decodeBrokerMessage(text);
        } catch (error) {
          assert.ok(error instanceof FeedError, String(error));
        }
      }),
    );
  });
});
