import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodePacket, type Packet } from "@wardmq/mqtt";
import type { Grant } from "@wardmq/tokens";
import { TokenClock } from "@wardmq/tokens/verify";
import { BrokerParts, type Link } from "./broker-parts.ts";

const policy = `
topics: { schema: off }
roles:
  all: { publish: ["#"], subscribe: ["#"] }
  nurse: { publish: [{ filter: "ward/notes", retain: allowed }], subscribe: ["ward/#"] }
  reader: { subscribe: ["ward/alarm"] }
bindings:
  - { role: all, to: "service:*" }
`;

const start = 1_700_000_000_000;
const lifeMs = 600_000;

function grant(changes: Partial<Grant> = {}): Grant {
  return {
    subject: "person:idp_ann",
    kind: "person",
    attributes: { org: "hospital", id: "idp_ann" },
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

const bytes = (text: string) => Buffer.from(text);
const method = { authenticationMethod: "OAUTH2-JWT" };
const kept = { sessionExpiryInterval: 3_600 };

type Connect = Parameters<Link["connect"]>[0];

function broker(limits = {}): BrokerParts {
  const parts = new BrokerParts({ policy, limits });
  parts.tokens.set("good", grant());
  return parts;
}

async function connected(parts: BrokerParts, values: Connect = {}, token = "good"): Promise<Link> {
  const link = parts.stranger();
  link.connect({ clientId: "app", keepAlive: 600, password: bytes(token), ...values });
  await parts.judge();
  const [connack] = link.take();
  assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0, JSON.stringify(connack));
  return link;
}

/** The Reason Code that refuses the CONNECT, once its time has come. */
async function refused(
  parts: BrokerParts,
  values: Connect,
  peer = {},
): Promise<number | undefined> {
  const link = parts.stranger(peer);
  link.connect(values);
  await parts.judge();
  assert.deepEqual(link.take(), [], "the answer came at once");
  parts.advance(5_000);
  const [connack] = link.take();
  return connack?.type === "CONNACK" ? connack.reasonCode : undefined;
}

const publish = (topic: string, qos: 0 | 1 | 2, payload = "x"): Packet => ({
  type: "PUBLISH",
  topic,
  payload: bytes(payload),
  qos,
  retain: false,
  dup: false,
  packetId: qos === 0 ? undefined : 1,
  properties: {},
});

const subscribe = (filter: string, qos: 0 | 1 | 2 = 0): Packet => ({
  type: "SUBSCRIBE",
  packetId: 7,
  properties: {},
  subscriptions: [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
});

const plain = (packets: readonly Packet[]) => JSON.parse(JSON.stringify(packets));
const names = (packets: readonly Packet[]) => packets.map(({ type }) => type);
const lastCheck = (parts: BrokerParts) => parts.events.findLast(({ check }) => check)?.check;

describe("a CONNECT without a certificate is refused", () => {
  test("with one code and one sentence, whatever is wrong", async () => {
    const rows: readonly (readonly [Connect, string])[] = [
      [{ password: bytes("bad") }, "token-signature"],
      [{}, "token-missing"],
      [{ properties: { authenticationMethod: "SCRAM" }, password: bytes("good") }, "token-method"],
      [
        { properties: { ...method, authenticationData: bytes("good") }, password: bytes("x") },
        "token-twice",
      ],
    ];
    const parts = broker();
    const answers = new Set<string>();
    for (const [values, check] of rows) {
      const link = parts.stranger();
      link.connect(values);
      await parts.judge();
      parts.advance(5_000);
      answers.add(link.takeBytes().toString("hex"));
      assert.equal(lastCheck(parts), check);
      assert.ok(link.isClosed);
    }
    assert.equal(answers.size, 1);
    assert.ok(parts.events.every(({ subject }) => subject === undefined));
  });

  test("with Connect Return Code 5 on 3.1.1", async () => {
    const values = { version: 4, username: "", password: bytes("bad") } as const;
    assert.equal(await refused(broker(), values), 5);
  });

  test("from a network of IPv6, whichever of its addresses it comes from", async () => {
    const parts = broker();
    const from = (i: number) => ({ address: `2001:db8::${(i + 1).toString(16)}` });
    for (let i = 0; i < 50; i += 1) await refused(parts, { password: bytes("bad") }, from(i));
    await refused(parts, { password: bytes("good") }, from(50));
    assert.equal(lastCheck(parts), "token-banned");
    const { attempts } = parts.context.tokens;
    assert.deepEqual(
      attempts.bans().map(({ of }) => of),
      ["address 2001:db8:0:0::/64"],
    );
    const elsewhere = parts.stranger({ address: "2001:db8:0:1::1" });
    elsewhere.connect({ password: bytes("good") });
    await parts.judge();
    assert.deepEqual(names(elsewhere.take()), ["CONNACK"]);
  });

  test("later and later, and then not judged at all for a time", async () => {
    const parts = broker();
    for (let i = 0; i < 50; i += 1) await refused(parts, { password: bytes("bad") });
    assert.ok(parts.events.some(({ type }) => type === "tokens-banned"));
    await refused(parts, { password: bytes("good") });
    assert.equal(lastCheck(parts), "token-banned");
    const elsewhere = parts.stranger({ address: "192.0.2.99" });
    elsewhere.connect({ password: bytes("good") });
    await parts.judge();
    assert.deepEqual(names(elsewhere.take()), ["CONNACK"]);
    const device = parts.link(parts.service("a"));
    assert.deepEqual(names(device.connect()), ["CONNACK"]); // the same address, with its certificate
    parts.advance(60_000);
    await connected(parts);
  });

  test("and those that come after it from there are judged after others", async () => {
    const parts = broker();
    const isSuspect = (address: string) => {
      parts.stranger({ address }).connect({ password: bytes("good") });
      return parts.asked?.isSuspect;
    };
    assert.equal(isSuspect("192.0.2.1"), false);
    await refused(parts, { password: bytes("bad") }, { address: "192.0.2.1" });
    assert.equal(isSuspect("192.0.2.1"), true);
    assert.equal(isSuspect("192.0.2.2"), false);
  });

  test("until somebody has lifted the ban, which late news of a lifting does not do to a later one", async () => {
    const parts = broker();
    const { attempts } = parts.context.tokens;
    const ban = async () => {
      for (let i = 0; i < 50; i += 1) await refused(parts, { password: bytes("bad") });
      return parts.events.findLast(({ type }) => type === "tokens-banned")?.check ?? "";
    };
    const of = await ban();
    const liftedAt = parts.context.tokens.now();
    attempts.lift(of, liftedAt);
    await connected(parts);
    parts.advance(1_000);
    await ban();
    attempts.lift(of, liftedAt);
    await refused(parts, { password: bytes("good") });
    assert.equal(lastCheck(parts), "token-banned");
    assert.deepEqual(
      attempts.bans().map(({ of }) => of),
      [of],
    );
    attempts.lift(of);
    assert.deepEqual(attempts.bans(), []);
    await connected(parts);
  });

  test("and counted, also of a peer that does not wait for the answer", async () => {
    const parts = broker();
    for (let i = 0; i < 50; i += 1) {
      const link = parts.stranger();
      link.connect({ password: bytes("bad") });
      link.drop();
      await parts.judge();
    }
    assert.equal(parts.events.filter(({ check }) => check === "token-signature").length, 50);
    assert.equal(parts.context.tokens.attempts.bans().length, 1);
  });

  test("when nothing judges its token in time", async () => {
    const parts = broker();
    const link = parts.stranger();
    link.connect({ password: bytes("good") });
    parts.advance(11_000);
    assert.ok(link.isClosed);
    assert.equal(lastCheck(parts), "token-timeout");
    await parts.judge();
    assert.equal(parts.sessions.size, 0);
  });

  test("for what was wrong with its token, though it hears of that after its time for a CONNECT", async () => {
    const parts = broker({ connectTimeoutMs: 200 }); // no refusal is told sooner than after 250 ms
    const link = parts.stranger();
    link.connect({ password: bytes("bad") });
    await parts.judge();
    parts.advance(210);
    assert.ok(!link.isClosed);
    parts.advance(5_000);
    assert.deepEqual(names(link.take()), ["CONNACK"]);
    assert.ok(link.isClosed);
    assert.equal(lastCheck(parts), "token-signature");
  });

  test("when it sends too much before it is judged", async () => {
    const parts = broker({ preAuthBytes: 4_096 });
    const link = parts.stranger();
    link.connect({ password: bytes("good") });
    link.send(Buffer.alloc(4_097));
    assert.ok(link.isClosed);
    await parts.judge();
    assert.equal(parts.context.preAuthBytes, 0);
    assert.equal(parts.sessions.size, 0);
  });
});

/** A test of a limit of wardmq.yaml; test/limits/table.ts names this file. */
function limitTest(key: string, what: string, run: (key: string) => Promise<void>): void {
  test(`${key} ${what}`, () => run(key));
}

describe("a person's limit", () => {
  limitTest("connectionsPerSubject.person", "counts over all tokens of the person", async (key) => {
    const parts = broker({ connectionsPerSubject: { device: 1, service: 1, person: 2 } });
    parts.tokens.set("second", grant({ jti: "t-2" }));
    const first = await connected(parts, { clientId: "1" });
    await connected(parts, { clientId: "2" }, "second");
    const third = parts.stranger();
    third.connect({ clientId: "3", password: bytes("good") });
    await parts.judge();
    assert.equal(lastCheck(parts), `limits.${key}`);
    first.send({ type: "DISCONNECT", reasonCode: 0, properties: {} });
    await connected(parts, { clientId: "3" });
  });

  limitTest(
    "sessionsPerSubject.person",
    "counts sessions without a connection too",
    async (key) => {
      const parts = broker({ sessionsPerSubject: { device: 1, service: 1, person: 1 } });
      const first = await connected(parts, { clientId: "1", properties: kept });
      first.drop();
      const second = parts.stranger();
      second.connect({ clientId: "2", password: bytes("good"), properties: kept });
      await parts.judge();
      assert.equal(lastCheck(parts), `limits.${key}`);
    },
  );

  for (const key of ["messagesPerSecond.person", "bytesPerSecond.person"]) {
    limitTest(key, "slows reading down, for people and not for apps", async () => {
      const [group = ""] = key.split(".");
      const parts = broker({ [group]: { device: 1, service: 10_000_000, person: 1_000 } });
      parts.tokens.set("app", grant({ kind: "app", subject: "app:idp_reports" }));
      for (const token of ["good", "app"]) {
        const link = await connected(parts, {}, token);
        const message = encodePacket(publish("ward/notes", 0, "0123456789"), 5);
        link.send(Buffer.concat(Array.from({ length: 2_000 }, () => message)));
        assert.equal(link.isPaused, token === "good", token);
      }
    });
  }
});

describe("a client with a token", () => {
  test("has the rights of its roles, and is told when the token ends", async () => {
    const parts = broker();
    const link = parts.stranger();
    link.connect({ clientId: "app", password: bytes("good") });
    await parts.judge();
    const [connack] = link.take();
    assert.deepEqual(connack?.type === "CONNACK" && connack.properties.userProperty, [
      ["token-expires", new Date(start + lifeMs).toISOString()],
    ]);
    link.send(subscribe("ward/alarm"), publish("ward/notes", 1), publish("ward/alarm", 1));
    const codes = link.take().map((packet) => "reasonCode" in packet && packet.reasonCode);
    assert.deepEqual(codes, [false, 0x10, 0x87]);
  });

  test("may send at once what it sends after the CONNECT", async () => {
    const parts = broker();
    const link = parts.stranger();
    link.connect({ clientId: "app", password: bytes("good") });
    link.send(subscribe("ward/alarm"), { type: "PINGREQ" });
    assert.deepEqual(link.take(), []);
    await parts.judge();
    assert.deepEqual(names(link.take()), ["CONNACK", "SUBACK", "PINGRESP"]);
    assert.equal(parts.context.preAuthBytes, 0);
  });

  test("never meets the session of another subject under its client id", async () => {
    const parts = broker();
    parts.tokens.set(
      "bob",
      grant({ subject: "person:idp_bob", attributes: { org: "hospital", id: "idp_bob" } }),
    );
    const ann = await connected(parts, { properties: kept });
    const bob = parts.stranger();
    bob.connect({ clientId: "app", password: bytes("bob"), cleanStart: false });
    await parts.judge();
    const [connack] = bob.take();
    assert.ok(connack?.type === "CONNACK" && !connack.sessionPresent && connack.reasonCode === 0);
    assert.ok(!ann.isClosed);
  });

  test("is told nothing that is larger than it takes, and stays", async () => {
    const parts = broker();
    const properties = { ...method, maximumPacketSize: 64 };
    const link = parts.stranger();
    link.connect({ clientId: "app", keepAlive: 600, password: bytes("good"), properties });
    await parts.judge();
    const [connack] = link.take();
    assert.ok(connack?.type === "CONNACK" && connack.reasonCode === 0);
    assert.equal(connack.properties.userProperty, undefined);
    link.send(subscribe("$token/events"), {
      type: "AUTH",
      reasonCode: 0x19,
      properties: { ...method, authenticationData: bytes("good") },
    });
    await parts.judge();
    assert.deepEqual(names(link.take()), ["SUBACK", "AUTH"]);
    parts.advance(lifeMs - 60_000 + 101);
    link.send({ type: "PINGREQ" });
    assert.deepEqual(names(link.take()), ["PINGRESP"]);
  });

  test("is refused where the certificate it came with was revoked meanwhile, as is its next token", async () => {
    const parts = broker();
    const holder = parts.service("a");
    const [bound] = holder.record.certificates;
    const peer = { holder, fingerprint: bound?.fingerprint };
    const link = parts.stranger(peer);
    link.connect({ clientId: "1", keepAlive: 600, password: bytes("good") });
    await parts.judge();
    assert.deepEqual(names(link.take()), ["CONNACK"]);
    const late = parts.stranger(peer);
    late.connect({ clientId: "2", password: bytes("good") });
    holder.record = { ...holder.record, state: "revoked" };
    assert.deepEqual(parts.context.connections.of(holder), [link.connection, late.connection]);
    await parts.judge();
    assert.ok(late.isClosed);
    assert.equal(lastCheck(parts), "certificate-active");
    link.send(publish("$token/renew", 1, "good"));
    await parts.judge();
    assert.equal(lastCheck(parts), "token-certificate-active");
    link.drop();
    assert.deepEqual([...parts.context.connections], []);
    assert.deepEqual(parts.context.connections.of(holder), []);
  });

  test("is narrowed by the scopes of its token", async () => {
    const parts = broker();
    parts.tokens.set("narrow", grant({ actions: ["subscribe"] }));
    const link = await connected(parts, {}, "narrow");
    link.send(publish("ward/notes", 1));
    const [puback] = link.take();
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0x87);
  });
});

describe("at the end of a token", () => {
  test("the connection ends with 0x87, and no sooner", async () => {
    const parts = broker();
    const link = await connected(parts);
    parts.advance(lifeMs - 1);
    assert.ok(!link.isClosed);
    parts.advance(101);
    assert.ok(link.isClosed);
    const [disconnect] = link.take();
    assert.ok(disconnect?.type === "DISCONNECT" && disconnect.reasonCode === 0x87);
    assert.equal(disconnect.properties.reasonString, "the token has ended");
  });

  test("nothing is taken from that millisecond on, though no timer has run", async () => {
    for (const packet of [
      publish("ward/notes", 0),
      publish("ward/notes", 2),
      subscribe("ward/alarm"),
    ]) {
      const parts = broker();
      const reader = parts.link(parts.service("a"));
      reader.connect({ keepAlive: 600 });
      reader.send(subscribe("ward/#"));
      reader.take();
      const link = await connected(parts);
      parts.clock = start + lifeMs;
      link.send(packet);
      assert.deepEqual(names(link.take()), ["DISCONNECT"]);
      assert.deepEqual(reader.take(), []);
    }
  });

  test("nothing is delivered from that millisecond on, though no timer has run", async () => {
    for (const qos of [0, 1, 2] as const) {
      const parts = broker();
      const sender = parts.link(parts.service("a"));
      sender.connect({ keepAlive: 600 });
      const link = await connected(parts);
      link.send(subscribe("ward/alarm", qos));
      link.take();
      parts.clock = start + lifeMs - 1;
      sender.send(publish("ward/alarm", 0));
      assert.deepEqual(names(link.take()), ["PUBLISH"]);
      parts.clock += 1;
      sender.send({ ...publish("ward/alarm", qos) } as Packet);
      assert.deepEqual(link.take(), []);
    }
  });

  test("a message that was not delivered waits for the next token, and for the rights of that one", async () => {
    for (const [roles, expected] of [
      [["nurse"], ["CONNACK", "PUBLISH"]],
      [["reader"], ["CONNACK", "PUBLISH"]],
      [[], ["CONNACK"]],
    ] as const) {
      const parts = broker();
      const sender = parts.link(parts.service("a"));
      sender.connect({ keepAlive: 600 });
      const link = await connected(parts, { properties: kept });
      link.send(subscribe("ward/alarm", 1));
      parts.clock = start + lifeMs;
      sender.send(publish("ward/alarm", 1));
      parts.advance(100);
      assert.ok(link.isClosed);
      sender.send({ ...publish("ward/alarm", 1), packetId: 2 } as Packet);
      parts.tokens.set("next", grant({ roles, expiresAt: start + 2 * lifeMs }));
      const again = parts.stranger();
      again.connect({
        clientId: "app",
        password: bytes("next"),
        cleanStart: false,
        properties: kept,
      });
      await parts.judge();
      const got = names(again.take());
      assert.deepEqual([...new Set(got)], expected, roles.join());
      if (roles.length > 0) assert.equal(got.length, 3);
    }
  });

  test("subscriptions and messages of a kept session wait for the next token, whatever is asked meanwhile", async () => {
    const parts = broker();
    const sender = parts.link(parts.service("a"));
    sender.connect({ keepAlive: 600 });
    const properties = { ...kept, receiveMaximum: 1 };
    const link = await connected(parts, { properties });
    link.send(subscribe("ward/alarm", 1));
    for (const packetId of [1, 2]) {
      sender.send({ ...publish("ward/alarm", 1), packetId } as Packet);
    }
    parts.clock = start + lifeMs;
    link.connection.drained();
    parts.advance(100);
    assert.ok(link.isClosed);
    await parts.usePolicy(policy);
    sender.send({ ...publish("ward/alarm", 1), packetId: 3 } as Packet);
    parts.tokens.set("next", grant({ expiresAt: start + 2 * lifeMs }));
    const again = parts.stranger();
    const values = { clientId: "app", cleanStart: false, properties: kept };
    again.connect({ ...values, password: bytes("next") });
    await parts.judge();
    assert.deepEqual(names(again.take()), ["CONNACK", "PUBLISH", "PUBLISH", "PUBLISH"]);
    assert.ok(parts.events.every(({ type }) => !type.endsWith("-denied")));
  });

  test("nothing is given any more to a client that does not read", async () => {
    const parts = broker();
    const sender = parts.link(parts.service("a"));
    sender.connect({ keepAlive: 60_000 });
    const link = await connected(parts);
    link.send(subscribe("ward/alarm"));
    link.take();
    link.isBlocked = true;
    sender.send(publish("ward/alarm", 0, "read"));
    for (let i = 0; i < 10; i += 1) sender.send(publish("ward/alarm", 0, "x".repeat(10_000)));
    parts.advance(lifeMs + 100);
    link.unblock();
    assert.deepEqual(names(link.take()), ["PUBLISH", "DISCONNECT"]);
  });

  test("a QoS 2 exchange goes on with the next token", async () => {
    const parts = broker();
    const link = await connected(parts, { properties: kept });
    link.send(publish("ward/notes", 2));
    assert.deepEqual(names(link.take()), ["PUBREC"]);
    parts.advance(lifeMs + 100);
    assert.ok(link.isClosed);
    parts.tokens.set("next", grant({ expiresAt: start + 2 * lifeMs }));
    const again = await connected(parts, { cleanStart: false, properties: kept }, "next");
    again.send({ type: "PUBREL", packetId: 1, reasonCode: 0, properties: {} });
    const [pubcomp] = again.take();
    assert.ok(pubcomp?.type === "PUBCOMP" && pubcomp.reasonCode === 0);
  });

  test("its will is not sent", async () => {
    const parts = broker();
    const reader = parts.link(parts.service("a"));
    reader.connect({ keepAlive: 600 });
    reader.send(subscribe("ward/#"));
    reader.take();
    const will = {
      topic: "ward/notes",
      payload: bytes("gone"),
      qos: 0,
      retain: false,
      properties: {},
    } as const;
    const lost = await connected(parts, { clientId: "1", will });
    lost.drop();
    parts.turn();
    assert.deepEqual(names(reader.take()), ["PUBLISH"]); // while the token counts it is
    await connected(parts, { clientId: "2", will });
    parts.advance(lifeMs + 100);
    assert.deepEqual(reader.take(), []);
    assert.ok(parts.events.some(({ type }) => type === "will-denied"));
  });

  test("what it sent before is delivered all the same", async () => {
    const parts = broker();
    const link = await connected(parts);
    link.send({ ...publish("ward/notes", 1), retain: true } as Packet);
    parts.advance(lifeMs + 100);
    const reader = parts.link(parts.service("a"));
    reader.connect({ keepAlive: 600 });
    reader.send(subscribe("ward/notes"));
    assert.deepEqual(names(reader.take()), ["CONNACK", "SUBACK", "PUBLISH"].slice(1));
  });
});

describe("a further token", () => {
  const auth = (token: string, reasonCode = 0x19): Packet => ({
    type: "AUTH",
    reasonCode,
    properties: { ...method, authenticationData: bytes(token) },
  });
  const renewable = { properties: { ...method } };

  test("of another subject changes nothing, and the former one counts to its end", async () => {
    const parts = broker();
    parts.tokens.set("bob", grant({ subject: "person:idp_bob" }));
    const link = await connected(parts, renewable);
    for (const token of ["bob", "bad"]) {
      link.send(auth(token));
      await parts.judge();
      assert.deepEqual(link.take(), [], "the answer came at once");
      parts.advance(5_000);
      const [answer] = link.take();
      assert.ok(answer?.type === "AUTH" && answer.reasonCode === 0x18);
    }
    link.send(publish("ward/notes", 1));
    const [puback] = link.take();
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0x10);
    parts.advance(lifeMs);
    assert.ok(link.isClosed);
  });

  test("is taken by AUTH, and the connection goes on to its end", async () => {
    const parts = broker();
    parts.tokens.set("next", grant({ jti: "t-2", expiresAt: start + 2 * lifeMs }));
    const link = await connected(parts, renewable);
    link.send(auth("next"));
    await parts.judge();
    const [answer] = link.take();
    assert.ok(answer?.type === "AUTH" && answer.reasonCode === 0);
    assert.equal(answer.properties.authenticationMethod, "OAUTH2-JWT");
    parts.advance(lifeMs + 100);
    link.send({ type: "PINGREQ" });
    assert.deepEqual(names(link.take()), ["PINGRESP"]);
    parts.advance(lifeMs);
    assert.ok(link.isClosed);
  });

  test("brings its own rights, and takes the former ones away", async () => {
    const parts = broker();
    parts.tokens.set("less", grant({ roles: ["reader"], expiresAt: start + 2 * lifeMs }));
    const link = await connected(parts, renewable);
    link.send(subscribe("ward/alarm"), publish("ward/notes", 1));
    link.take();
    link.send(auth("less"));
    await parts.judge();
    link.send(publish("ward/notes", 1));
    const [, puback] = link.take();
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0x87);
    assert.ok(!link.isClosed);
  });

  test("ends a subscription it gives no right to, and the connection with it", async () => {
    const parts = broker();
    parts.tokens.set("less", grant({ roles: ["reader"] }));
    const link = await connected(parts, renewable);
    link.send(subscribe("ward/#"));
    link.take();
    link.send(auth("less"));
    await parts.judge();
    const packets = link.take();
    assert.deepEqual(names(packets), ["DISCONNECT"]);
    assert.ok(link.isClosed);
  });

  test("comes one at a time", async () => {
    const parts = broker();
    const link = await connected(parts, renewable);
    link.send(auth("good"), auth("good"));
    const [disconnect] = link.take();
    assert.ok(disconnect?.type === "DISCONNECT" && disconnect.reasonCode === 0x82);
    await parts.judge();
    assert.deepEqual(parts.failures, []);
  });

  test("needs the method in CONNECT, and a token at all", async () => {
    const parts = broker();
    const without = await connected(parts);
    without.send(auth("good"));
    assert.deepEqual(names(without.take()), ["DISCONNECT"]);
    const device = parts.link(parts.service("a"));
    device.connect();
    device.send(auth("good"));
    assert.deepEqual(names(device.take()), ["DISCONNECT"]);
  });

  test("by AUTH is refused while one of a PUBLISH is judged, and ends nothing", async () => {
    const parts = broker();
    const link = await connected(parts, renewable);
    link.send(publish("$token/renew", 1, "good"), auth("good"));
    await parts.judge();
    const [answer, puback] = link.take();
    assert.ok(answer?.type === "AUTH" && answer.reasonCode === 0x18);
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0);
  });

  test("that is refused at QoS 2 frees its Packet Identifier", async () => {
    const parts = broker();
    const reader = parts.link(parts.service("a"));
    reader.connect({ keepAlive: 600 });
    reader.send(subscribe("ward/#"));
    reader.take();
    const link = await connected(parts);
    link.send(publish("$token/renew", 2, "bad"));
    await parts.judge();
    parts.advance(5_000);
    const [pubrec] = link.take();
    assert.ok(pubrec?.type === "PUBREC" && pubrec.reasonCode === 0x87);
    link.send(publish("ward/notes", 2));
    assert.deepEqual(names(link.take()), ["PUBREC"]);
    assert.deepEqual(names(reader.take()), ["PUBLISH"]);
  });

  test("that is judged after the connection has gone changes nothing", async () => {
    const parts = broker();
    const link = await connected(parts, renewable);
    link.send(auth("good"));
    link.drop();
    await parts.judge();
    assert.deepEqual(parts.failures, []);
  });

  test("is taken on 3.1.1 by a topic that nobody else sees", async () => {
    const parts = broker();
    parts.tokens.set("next", grant({ expiresAt: start + 2 * lifeMs }));
    const reader = parts.link(parts.service("a"));
    reader.connect({ keepAlive: 600 });
    reader.send(subscribe("#"), subscribe("$token/renew"));
    reader.take();
    const link = await connected(parts, { version: 4, username: "" });
    link.send(subscribe("$token/events"), publish("$token/renew", 1, "next"));
    await parts.judge();
    const packets = link.take();
    assert.deepEqual(names(packets), ["SUBACK", "PUBACK", "PUBLISH"]);
    const told = packets[2];
    assert.ok(told?.type === "PUBLISH" && told.topic === "$token/events");
    assert.deepEqual(JSON.parse(Buffer.from(told.payload).toString()), {
      state: "renewed",
      expires: new Date(start + 2 * lifeMs).toISOString(),
    });
    parts.advance(lifeMs + 100);
    assert.ok(!link.isClosed);
    assert.deepEqual(reader.take(), []);
    assert.equal(parts.retained.messages, 0);
  });

  test("is judged before anything more is read, once another came too early", async () => {
    const parts = broker();
    const link = await connected(parts);
    link.send(publish("$token/renew", 1, "bad"));
    assert.ok(!link.isPaused);
    link.send({ ...publish("$token/renew", 1, "bad"), packetId: 2 } as Packet);
    assert.ok(link.isPaused);
    const refused = (packetId: number) => [
      { type: "PUBACK", packetId, reasonCode: 0x87, properties: {} },
    ];
    assert.deepEqual(plain(link.take()), refused(2));
    await parts.judge();
    assert.ok(link.isPaused, "a refusal has to wait for its time");
    parts.advance(5_000);
    assert.ok(!link.isPaused);
    assert.deepEqual(plain(link.take()), refused(1));
    assert.equal(parts.events.filter(({ type }) => type === "token-renewal-refused").length, 1);
    link.send({ type: "PINGREQ" });
    assert.deepEqual(names(link.take()), ["PINGRESP"]);
  });

  test("that is judged slowly ends nobody by the keep alive of a client that is not read", async () => {
    const parts = broker();
    const link = await connected(parts, { keepAlive: 5 });
    link.send(publish("$token/renew", 1, "bad"), publish("$token/renew", 1, "bad"));
    parts.advance(7_600);
    assert.ok(!link.isClosed);
    await parts.judge();
    parts.advance(5_000);
    assert.ok(!link.isPaused && !link.isClosed);
    parts.advance(7_600);
    assert.ok(link.isClosed, "read again, it has to send");
  });

  test("is asked for a minute before the end, where the client listens", async () => {
    const parts = broker();
    const link = await connected(parts);
    const deaf = await connected(parts, { clientId: "deaf" });
    link.send(subscribe("$token/events"));
    link.take();
    parts.advance(lifeMs - 60_000 - 1);
    assert.deepEqual(link.take(), []);
    parts.advance(101);
    assert.deepEqual(names(link.take()), ["PUBLISH"]);
    assert.deepEqual(deaf.take(), []);
    parts.advance(30_000);
    assert.deepEqual(link.take(), []);
  });

  test("no topic of a token can be written or read without one", async () => {
    const parts = broker();
    const device = parts.link(parts.service("a"));
    device.connect();
    device.send(subscribe("$token/events"), publish("$token/renew", 1, "good"));
    const [suback, puback] = device.take();
    assert.ok(suback?.type === "SUBACK" && suback.reasonCodes[0] === 0x87);
    assert.ok(puback?.type === "PUBACK" && puback.reasonCode === 0x87);
  });
});

describe("the clock of tokens", () => {
  test("follows the wall clock forwards and never back", () => {
    let [wall, monotonic] = [1_000_000, 50];
    const clock = new TokenClock(
      () => wall,
      () => monotonic,
    );
    assert.equal(clock.now(), 1_000_000);
    wall -= 500_000;
    monotonic += 1_000;
    assert.equal(clock.now(), 1_001_000);
    wall = 2_000_000;
    assert.equal(clock.now(), 2_000_000);
    wall = 1_000_000;
    monotonic += 10;
    assert.equal(clock.now(), 2_000_010);
  });
});
