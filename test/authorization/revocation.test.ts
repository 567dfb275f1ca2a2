import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { connect } from "node:tls";
import { Stage } from "../conformance/stage.ts";
import { newCertificateRequest } from "../support/certificate-request.ts";
import { type Credential, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openWebSocket } from "../support/web-socket.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { eventWhere, settledEvents } from "./events.ts";
import { hasReceived, hex, received, waiting } from "./scene.ts";

const deployment = await startDeployment({
  services: ["tester", "other"],
  devices: 2,
  policy: `
topics: { schema: off }
roles:
  tester: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#"] }
bindings:
  - { role: tester, to: "service:*" }
  - { role: tester, to: "device:*" }
`,
});
after(() => deployment.stop());
let services = 0;

/** A new subject for a test that revokes it. */
async function newService(): Promise<Credential & { readonly name: string }> {
  services += 1;
  const name = `revoked-${services}`;
  const { id } = await deployment.command("service.add", { name });
  return { ...(await credentialFor(id)), name };
}

async function credentialFor(subject: string): Promise<Credential> {
  const { key, request } = await newCertificateRequest();
  const issued = await deployment.command("credential", { subject, certificateRequest: request });
  return { subject, key, cert: issued.certificateChain, ca: issued.trustAnchors };
}

async function open(credential: Credential, via: "mqtts" | "wss", version: 4 | 5) {
  const socket = await openTls(deployment[via], credential);
  const wire = via === "wss" ? await openWebSocket(socket) : tlsWire(socket);
  return new RawClient(wire, version);
}

/** Whether a subject gets as far as an accepted CONNECT. */
async function isLetIn(credential: Credential, via: "mqtts" | "wss"): Promise<boolean> {
  try {
    const client = await open(credential, via, 5);
    const { reasonCode } = await client.connect({ clientId: "again" });
    client.drop();
    return reasonCode === 0;
  } catch (error) {
    assert.ok(!String(error).includes("nothing came in time"), String(error));
    return false;
  }
}

async function withStage(run: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = new Stage(deployment, 5);
  try {
    await run(stage);
  } finally {
    stage.end();
  }
}

const ways = [
  { via: "mqtts", version: 5 },
  { via: "mqtts", version: 4 },
  { via: "wss", version: 5 },
  { via: "wss", version: 4 },
] as const;

describe("revocation", () => {
  test("ends every open connection of the subject, 0x98 on 5.0, and nobody else's", () =>
    withStage(async (stage) => {
      const revoked = await newService();
      const others = await Promise.all(
        ways.map(({ via, version }) => stage.connect({ as: "other", via, version })),
      );
      const clients: RawClient[] = [];
      for (const [i, { via, version }] of ways.entries()) {
        const client = await open(revoked, via, version);
        assert.equal((await client.connect({ clientId: `c${i}` })).reasonCode, 0);
        clients.push(client);
      }
      const answer = await deployment.command("revoke", { subject: revoked.subject });
      assert.deepEqual(
        answer.brokers.map(({ connectionsClosed }) => connectionsClosed),
        [ways.length],
      );
      assert.equal(answer.unconfirmed, undefined);
      for (const client of clients) await client.expectRefusal(0x98);
      for (const other of others) await other.expectQuiet();
    }));

  test("lets the certificate never in again, on either listener, and says why", async () => {
    const revoked = await newService();
    for (const via of ["mqtts", "wss"] as const) assert.equal(await isLetIn(revoked, via), true);
    await deployment.command("revoke", { subject: revoked.subject });
    for (const via of ["mqtts", "wss"] as const) {
      assert.equal(await isLetIn(revoked, via), false, via);
      const event = await eventWhere(
        deployment,
        `the refused handshake on ${via}`,
        ({ type, listener, certificate }) =>
          type === "handshake-refused" &&
          listener === via &&
          certificate?.subject.includes(revoked.name) === true,
      );
      assert.equal(event.check, "certificate-active");
      assert.ok(event.certificate?.serialNumber && event.address);
    }
    assert.equal(await isLetIn(deployment.credential("other"), "mqtts"), true);
  });

  test("is not undone by resuming a TLS session from before", async () => {
    const revoked = await newService();
    const before = await open(revoked, "mqtts", 5);
    const sessions: Buffer[] = [];
    before.wire.socket.on("session", (session: Buffer) => sessions.push(session));
    await before.connect({ clientId: "before" });
    await before.settle();
    const last = before.wire.socket.getSession();
    if (last !== undefined) sessions.push(last);
    await deployment.command("revoke", { subject: revoked.subject });
    await before.expectRefusal(0x98);
    for (const session of sessions) {
      const { key, cert, ca } = revoked;
      const options = { ...deployment.mqtts, servername: "localhost", key, cert, ca, session };
      const socket = connect(options);
      const client = new RawClient(tlsWire(socket), 5);
      await assert.rejects(client.connect({ clientId: "resumed" }), /the connection ended/);
    }
  });

  test("is seen by a peer whose WebSocket was still to be opened when it happened", async () => {
    const revoked = await newService();
    const early = await openTls(deployment.wss, revoked);
    const kept = await openTls(deployment.wss, deployment.credential("other"));
    await deployment.command("revoke", { subject: revoked.subject });
    const neighbour = new RawClient(await openWebSocket(kept), 5);
    assert.equal((await neighbour.connect({ clientId: "kept" })).reasonCode, 0);
    neighbour.drop();
    await assert.rejects(async () => {
      const client = new RawClient(await openWebSocket(early), 5);
      const { reasonCode } = await client.connect({ clientId: "early" });
      if (reasonCode !== 0) throw new Error(`refused with ${hex(reasonCode)}`);
    });
  });

  test("is seen by a peer whose CONNECT was still to come", async () => {
    const revoked = await newService();
    const early = await open(revoked, "mqtts", 5);
    early.send("10 20"); // the beginning of a CONNECT
    await deployment.command("revoke", { subject: revoked.subject });
    await assert.rejects(early.connect({ clientId: "early" }), /the connection ended/);
  });

  test("gives out no new certificate for the subject", async () => {
    const revoked = await newService();
    await deployment.command("revoke", { subject: revoked.subject });
    await assert.rejects(credentialFor(revoked.subject));
  });

  test("outlives the record: whoever gets the name later does not bring the certificate back", async () => {
    const revoked = await newService();
    await deployment.command("revoke", { subject: revoked.subject });
    await deployment.command("service.add", { name: revoked.name });
    assert.equal(await isLetIn(revoked, "mqtts"), false);
    assert.equal(await isLetIn(await credentialFor(revoked.subject), "mqtts"), true);
    assert.equal(await isLetIn(revoked, "mqtts"), false);
  });

  test("ends the session with its queue and its subscriptions", () =>
    withStage(async (stage) => {
      const revoked = await newService();
      const topic = stage.topic("queue");
      const reader = await open(revoked, "mqtts", 5);
      await reader.connect({ clientId: "reader", ...waiting });
      await reader.subscribe(topic, { qos: 1 });
      await reader.disconnect();
      const publisher = await stage.connect();
      assert.equal(await publisher.publish(topic, "for the queue", { qos: 1 }), 0);
      await deployment.command("revoke", { subject: revoked.subject });
      const noMatchingSubscribers = 0x10;
      assert.equal(await publisher.publish(topic, "for nobody", { qos: 1 }), noMatchingSubscribers);
    }));

  test("takes back what the subject had retained; what others retained stays", () =>
    withStage(async (stage) => {
      const revoked = await newService();
      const publisher = await open(revoked, "mqtts", 5);
      await publisher.connect({ clientId: "publisher" });
      const other = await stage.connect({ as: "other" });
      const options = { qos: 1, retain: true } as const;
      await publisher.publish(stage.topic("retained/revoked"), "withheld", options);
      await other.publish(stage.topic("retained/other"), "stays", options);
      await deployment.command("revoke", { subject: revoked.subject });
      for (const filter of [stage.topic("retained/#"), stage.topic("retained/revoked")]) {
        const reader = await stage.connect();
        await reader.subscribe(filter, { qos: 1 });
        assert.equal(await hasReceived(reader, "withheld"), false, filter);
      }
      const reader = await stage.connect();
      await reader.subscribe(stage.topic("retained/#"), { qos: 1 });
      assert.equal((await reader.receive()).text, "stays");
    }));

  test("keeps back a will whose delay runs; the will of another is sent after it", () =>
    withStage(async (stage) => {
      const revoked = await newService();
      const watcher = await stage.connect();
      await watcher.subscribe(stage.topic("will/+"), { qos: 1 });
      const willOf = (name: string) => ({
        ...waiting,
        will: {
          topic: stage.topic(`will/${name}`),
          payload: name,
          properties: { willDelayInterval: 1 },
        },
      });
      const gone = await open(revoked, "mqtts", 5);
      await gone.connect({ clientId: "gone", ...willOf("revoked") });
      gone.drop();
      await eventWhere(
        deployment,
        "the end of the connection",
        ({ type, subject }) => type === "disconnected" && subject === revoked.subject,
      );
      await deployment.command("revoke", { subject: revoked.subject });
      const other = await stage.connect({ as: "other", ...willOf("other") });
      other.drop();
      assert.equal((await watcher.receive()).text, "other"); // due later than the one that never comes
      await watcher.expectQuiet();
      const events = await settledEvents(deployment, watcher);
      const denied = events.filter(
        ({ type, subject }) => type === "will-denied" && subject === revoked.subject,
      );
      assert.deepEqual(
        denied.map(({ topic, count = 1 }) => [topic, count]),
        [[stage.topic("will/revoked"), 1]],
      );
    }));

  test("of one device leaves another with the same model, site and ward alone", () =>
    withStage(async (stage) => {
      const [revoked = "", other = ""] = deployment.devices;
      const [gone, stays] = [
        await stage.connect({ as: revoked, clientId: revoked }),
        await stage.connect({ as: other, clientId: other }),
      ];
      await deployment.command("revoke", { subject: `device:${revoked}` });
      await gone.expectRefusal(0x98);
      await stays.expectQuiet();
      assert.equal((await received(stays)).ending, undefined);
    }));

  test("of many subjects at once ends all of them, and no other", () =>
    withStage(async (stage) => {
      const many = await Promise.all(Array.from({ length: 10 }, newService));
      const clients = await Promise.all(
        many.map(async (credential) => {
          const client = await open(credential, "mqtts", 5);
          await client.connect({ clientId: "one-of-many" });
          return client;
        }),
      );
      const other = await stage.connect({ as: "other" });
      const answers = await Promise.all(
        many.map(({ subject }) => deployment.command("revoke", { subject })),
      );
      for (const { brokers } of answers) assert.equal(brokers[0]?.connectionsClosed, 1);
      for (const client of clients) await client.expectRefusal(0x98);
      await other.expectQuiet();
    }));
});

test("a certificate that was replaced by a new one for the same subject still works until it is revoked", async () => {
  const first = await newService();
  const second = await credentialFor(first.subject);
  for (const credential of [first, second]) assert.equal(await isLetIn(credential, "mqtts"), true);
  await deployment.command("revoke", { subject: first.subject });
  for (const credential of [first, second]) assert.equal(await isLetIn(credential, "mqtts"), false);
});
