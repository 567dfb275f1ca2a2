import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { ProtocolVersion } from "@wardmq/mqtt";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import {
  claimsText,
  issuersText,
  startTestProvider,
  type TestProvider,
} from "../support/identity-provider.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const policy = `
topics: { schema: off }
roles:
  tester: { publish: ["#"], subscribe: ["#"] }
  nurse: { publish: ["hospital/notes/+"], subscribe: ["hospital/news/+"] }
  doctor: { subscribe: ["hospital/#"] }
bindings:
  - { role: tester, to: "service:tester" }
${claimsText}`;

/** A little less in fact: a token begins with a whole second. */
const lifeSeconds = 6;
const kept = { cleanStart: false, properties: { sessionExpiryInterval: 3_600 } };
const method = { authenticationMethod: "OAUTH2-JWT" };

let provider: TestProvider;
let deployment: Deployment;
let service: RawClient;

before(async () => {
  const person = { groups: ["nurses"], ward: "icu", amr: ["pwd"] };
  provider = await startTestProvider({
    lifeSeconds,
    accounts: { nurse: person, leaver: person },
  });
  deployment = await startDeployment({
    policy,
    devices: 0,
    services: ["tester"],
    files: { "issuers.yaml": issuersText(provider, "idp.pem"), "idp.pem": provider.ca },
    settings: { "listeners.tokenMqtts.accept": "token" },
  });
  await until("the keys of the provider have come", async () => {
    const { client, connack } = await come({ token: await logIn("nurse") });
    client.drop();
    return connack.reasonCode === 0;
  });
  const wire = tlsWire(await openTls(deployment.mqtts, deployment.credential("tester")));
  service = new RawClient(wire, 5);
  await service.connect({});
  await service.subscribe("hospital/notes/+");
});
after(async () => {
  await deployment?.stop();
  await provider?.[Symbol.asyncDispose]();
});

async function logIn(account: string): Promise<string> {
  return (await provider.logIn(account)).access_token;
}

function claimsOf(token: string): { readonly exp: number; readonly jti: string } {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
}

const endOf = (token: string) => claimsOf(token).exp * 1000;

interface Coming extends ConnectOptions {
  readonly token: string;
  readonly version?: ProtocolVersion;
}

async function come({ token, version = 5, ...options }: Coming) {
  const { ca } = deployment.credential("tester");
  const at = { ...deployment.listener("tokenMqtts"), servername: "localhost" };
  const socket = connectTls({ ...at, ca, minVersion: "TLSv1.3" });
  const client = new RawClient(tlsWire(socket), version);
  const password = Buffer.from(token);
  const connack = await client.connect({ username: "", password, ...options });
  return { client, connack };
}

/** Somebody with a fresh token, until `endsAt`. */
async function connected(options: Omit<Coming, "token"> = {}, account = "nurse") {
  const token = await logIn(account);
  const { client, connack } = await come({ token, ...options });
  assert.equal(connack.reasonCode, 0);
  return { client, connack, token, endsAt: endOf(token) };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if (await holds()) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`did not happen: ${what}`);
}

const timesOf = (packets: readonly { readonly payload: Uint8Array }[]) =>
  packets.map(({ payload }) => Number(Buffer.from(payload)));

describe("at the end of its token", () => {
  for (const version of [5, 4] as const) {
    test(`a connection of ${version === 5 ? "5.0" : "3.1.1"} ends, and nothing that was sent later is delivered to it or taken from it`, async () => {
      const { client, endsAt } = await connected({ version });
      const [news, notes] = [`hospital/news/${version}`, `hospital/notes/${version}`];
      await client.subscribe(news, { qos: 0 });
      // Each message says when it was sent; of both directions there is one every few milliseconds.
      const sending = setInterval(() => {
        service.sendPublish(news, String(Date.now()));
        client.sendPublish(notes, String(Date.now()));
      }, 4);
      const got = [];
      try {
        while (Date.now() < endsAt + 2_000) got.push(await client.take("PUBLISH"));
      } catch {
        // It has ended.
      }
      clearInterval(sending);
      await client.expectRefusal(0x87);
      assert.ok(Date.now() >= endsAt, "it ended too early");
      const delivered = timesOf(got);
      service.send("c0 00");
      const taken = [];
      for (let one = await service.next(); one.type === "PUBLISH"; one = await service.next())
        taken.push(one);
      for (const times of [delivered, timesOf(taken)]) {
        assert.ok(times.length > 0);
        const late = times.filter((at) => at >= endsAt);
        assert.deepEqual(late, [], `the token ended at ${endsAt}`);
      }
    });
  }

  test("a QoS 2 exchange stands where it is, in both directions, and goes on with the next token", async () => {
    const who = { clientId: "exchange", ...kept };
    const { client } = await connected(who);
    await client.subscribe("hospital/news/+", { qos: 2 });
    const sent = client.sendPublish("hospital/notes/bed", "4", { qos: 2 });
    await client.take("PUBREC");
    await service.publish("hospital/news/bed", "5", { qos: 2 });
    const { packetId = 0 } = await client.take("PUBLISH");
    client.sendAcknowledgement("PUBREC", packetId);
    await client.take("PUBREL");
    await client.expectRefusal(0x87);
    assert.equal((await service.receive()).text, "4");

    const { client: again, connack } = await connected(who);
    assert.ok(connack.sessionPresent);
    assert.equal((await again.expect("PUBREL")).packetId, packetId);
    again.sendAcknowledgement("PUBCOMP", packetId);
    again.sendAcknowledgement("PUBREL", sent);
    assert.equal((await again.expect("PUBCOMP")).reasonCode, 0);
    await again.expectQuiet();
    await service.expectQuiet();
    again.drop();
  });

  test("its will is not sent, as it is when the connection is lost before", async () => {
    const will = { topic: "hospital/notes/will", payload: "gone" };
    const lost = await connected({ will });
    lost.client.drop();
    assert.equal((await service.receive()).text, "gone");
    const ended = await connected({ will });
    await ended.client.expectRefusal(0x87);
    await until("the will is withheld", async () => {
      const { events } = await deployment.command("events", { last: 50 });
      return (events as { type: string }[]).some(({ type }) => type === "will-denied");
    });
    await service.expectQuiet();
  });

  test("messages for its session wait, and come with the next token", async () => {
    const who = { clientId: "queue", ...kept };
    const { client } = await connected(who);
    await client.subscribe("hospital/news/+", { qos: 1 });
    await client.expectRefusal(0x87);
    for (const text of ["first", "second"]) {
      await service.publish("hospital/news/bed", text, { qos: 1 });
    }
    const { client: again, connack } = await connected(who);
    assert.ok(connack.sessionPresent);
    assert.equal((await again.receive()).text, "first");
    assert.equal((await again.receive()).text, "second");
    again.drop();
  });
});

test("a session that is kept ends when its token is revoked, and no other", async () => {
  const [revoked, other] = [
    { clientId: "revoked", ...kept },
    { clientId: "other", ...kept },
  ];
  const { client, token } = await connected(revoked);
  const second = await connected(other);
  for (const left of [client, second.client]) await left.disconnect();
  const { jti } = claimsOf(token);
  const { brokers } = await deployment.command("token.revoke", { issuer: "idp", jti });
  assert.deepEqual(
    brokers.map(({ connectionsClosed }) => connectionsClosed),
    [0],
  );
  assert.equal((await connected(revoked)).connack.sessionPresent, false);
  assert.equal((await connected(other)).connack.sessionPresent, true);
});

describe("a further token", () => {
  const renewable = { properties: { ...method } };
  const auth = (client: RawClient, token: string) => {
    const properties = { ...method, authenticationData: Buffer.from(token) };
    client.send({ type: "AUTH", reasonCode: 0x19, properties });
  };

  test("carries the connection past the end of the former one, to its own", async () => {
    const { client, endsAt } = await connected(renewable);
    // Its end is another second at least.
    await until("a second has gone", async () => Date.now() >= endsAt - 3_000);
    const next = await logIn("nurse");
    auth(client, next);
    assert.equal((await client.expect("AUTH")).reasonCode, 0);
    await until("the former token has ended", async () => Date.now() > endsAt + 200);
    await client.settle();
    await client.expectRefusal(0x87);
    assert.ok(Date.now() >= endOf(next));
  });

  test("that is bad holds the end of the former one up for nothing", async () => {
    const { client, endsAt } = await connected(renewable);
    await until("the end is near", async () => Date.now() > endsAt - 250);
    auth(client, "nonsense");
    await client.take("DISCONNECT");
  });

  test("that is revoked with the former one while it is judged saves nobody", async () => {
    const { client } = await connected(renewable, "leaver");
    const next = await logIn("leaver");
    auth(client, next);
    await deployment.command("token.revoke", { subject: "person:idp_leaver" });
    assert.equal((await client.take("DISCONNECT")).reasonCode, 0x87);
    assert.equal((await come({ token: next })).connack.reasonCode, 0x87);
  });

  test("of a connection that is taken over while it is judged does nothing to the one that took over", async () => {
    const who = { clientId: "tablet" };
    const { client } = await connected({ ...who, ...renewable });
    const [next, other] = [await logIn("nurse"), await logIn("nurse")];
    const coming = come({ token: other, ...who });
    auth(client, next);
    const second = await coming;
    assert.equal(second.connack.reasonCode, 0);
    assert.equal((await client.take("DISCONNECT")).reasonCode, 0x8e);
    await second.client.settle();
    await second.client.expectRefusal(0x87);
    assert.ok(Date.now() >= endOf(other));
  });
});
