import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import type { Grant } from "@wardmq/tokens";
import { BrokerParts, type Link } from "./broker-parts.ts";

const policy = `
topics: { schema: off }
roles:
  nurse: { publish: ["ward/notes"], subscribe: ["{org}/{ward}/#"] }
`;
const start = 1_700_000_000_000;
const lifeMs = 600_000;
const method = { authenticationMethod: "OAUTH2-JWT" };
const kept = { clientId: "app", properties: { ...method, sessionExpiryInterval: 3_600 } };

function grant(changes: Partial<Grant> = {}): Grant {
  return {
    subject: "person:idp_ann",
    kind: "person",
    attributes: { org: "hospital", id: "idp_ann", ward: "icu" },
    roles: ["nurse"],
    actions: ["publish", "subscribe"],
    issuer: "idp",
    jti: "t-1",
    sid: undefined,
    issuedAt: start,
    expiresAt: start + lifeMs,
    ...changes,
  };
}

function broker(): BrokerParts {
  const parts = new BrokerParts({ policy });
  parts.tokens.set("good", grant());
  parts.tokens.set("next", grant({ jti: "t-2", expiresAt: start + 2 * lifeMs }));
  return parts;
}

async function connected(parts: BrokerParts, more: object = {}): Promise<Link> {
  const link = parts.stranger();
  link.connect({ ...kept, password: Buffer.from("good"), ...more });
  await parts.judge();
  const [connack] = link.take();
  assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0, JSON.stringify(connack));
  return link;
}

const auth = (token: string, reasonCode = 0x19, properties: object = method): Packet => ({
  type: "AUTH",
  reasonCode,
  properties: { ...properties, authenticationData: Buffer.from(token) },
});

const subscribe = (filter: string): Packet => ({
  type: "SUBSCRIBE",
  packetId: 7,
  properties: {},
  subscriptions: [{ filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
});

const names = (packets: readonly Packet[]) => packets.map(({ type }) => type);

/** The tokens that the sessions of the broker have. */
const tokensOf = (parts: BrokerParts) =>
  [...parts.sessions.values()].map(({ subject }) => subject.grant?.jti);

describe("a token that is judged while", () => {
  const rows: readonly (readonly [string, (parts: BrokerParts, link: Link) => unknown])[] = [
    ["the former one is revoked", (_, link) => link.connection.disconnect(0x87, "revoked")],
    ["the former one ends", (parts) => parts.advance(lifeMs + 100)],
    ["the client leaves", (_, link) => link.drop()],
  ];
  for (const [what, happens] of rows) {
    test(`${what} gives the session nothing`, async () => {
      const parts = broker();
      const link = await connected(parts);
      link.send(auth("next"));
      happens(parts, link);
      parts.turn();
      await parts.judge();
      assert.ok(link.isClosed);
      assert.deepEqual(tokensOf(parts), ["t-1"]);
      assert.ok(!names(link.take()).includes("AUTH"));
      assert.deepEqual(parts.failures, []);
    });
  }

  test("its connection is taken over gives the session nothing", async () => {
    const parts = broker();
    parts.tokens.set("other", grant({ jti: "t-3" }));
    const link = await connected(parts);
    const second = parts.stranger();
    second.connect({ ...kept, cleanStart: false, password: Buffer.from("other") });
    link.send(auth("next"));
    await parts.judge();
    assert.ok(link.isClosed && !second.isClosed);
    assert.deepEqual(tokensOf(parts), ["t-3"]);
    parts.advance(lifeMs + 100);
    assert.ok(second.isClosed, "it ends with its own token");
  });
});

describe("an AUTH ends the connection", () => {
  const rows: readonly (readonly [string, Packet])[] = [
    [
      "with another method than the CONNECT, 5.0 [MQTT-4.12.0-5]",
      auth("next", 0x19, { authenticationMethod: "X" }),
    ],
    ["with a Reason Code that only a server may give", auth("next", 0)],
  ];
  for (const [what, packet] of rows) {
    test(what, async () => {
      const parts = broker();
      const link = await connected(parts);
      link.send(packet);
      const [disconnect] = link.take();
      assert.ok(disconnect?.type === "DISCONNECT", disconnect?.type);
      assert.equal(disconnect.reasonCode, 0x82);
      await parts.judge();
      assert.deepEqual(tokensOf(parts), ["t-1"]);
    });
  }
});

describe("a token with other rights", () => {
  const ward = (name: string) => ({ org: "hospital", id: "idp_ann", ward: name });
  const rows: readonly (readonly [string, Partial<Grant>, Packet["type"] | undefined])[] = [
    ["the same", {}, undefined],
    ["fewer actions", { actions: ["publish"] }, "DISCONNECT"],
    ["other attributes", { attributes: ward("er") }, "DISCONNECT"],
    ["no role", { roles: [] }, "DISCONNECT"],
  ];
  for (const [what, changes, expected] of rows) {
    test(`that gives ${what} ${expected ? "ends" : "keeps"} the subscription`, async () => {
      const parts = broker();
      const link = await connected(parts);
      link.send(subscribe("hospital/icu/alarm"));
      const [suback] = link.take();
      assert.ok(suback?.type === "SUBACK" && suback.reasonCodes[0] === 0);
      parts.tokens.set("changed", grant({ jti: "t-2", ...changes }));
      link.send(auth("changed"));
      await parts.judge();
      assert.equal(
        names(link.take()).find((type) => type !== "AUTH"),
        expected,
      );
    });
  }

  test("gives what they give: the attributes are the new ones", async () => {
    const parts = broker();
    const link = await connected(parts);
    link.send(subscribe("hospital/er/alarm"));
    parts.tokens.set("moved", grant({ jti: "t-2", attributes: ward("er") }));
    link.send(auth("moved"));
    await parts.judge();
    link.send(subscribe("hospital/er/alarm"));
    const codes = link.take().map((packet) => packet.type === "SUBACK" && packet.reasonCodes[0]);
    assert.deepEqual(codes, [0x87, false, 0]);
  });
});

test("of a short life the last fifth is for the next token", async () => {
  const parts = broker();
  parts.tokens.set("short", grant({ expiresAt: start + 100_000 }));
  const link = await connected(parts, { password: Buffer.from("short"), keepAlive: 600 });
  link.send(subscribe("$token/events"));
  link.take();
  parts.advance(79_900);
  assert.deepEqual(link.take(), []);
  parts.advance(200);
  assert.deepEqual(names(link.take()), ["PUBLISH"]);
});
