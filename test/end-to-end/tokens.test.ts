import assert from "node:assert/strict";
import { createHash, createHmac, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { connectWithToken } from "@wardmq/mqtt-js";
import mqtt from "mqtt";
import { startDeployment } from "../support/deployment.ts";
import { claimsText, issuersText, startTestProvider } from "../support/identity-provider.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const policy = `
topics: { schema: off }
roles:
  tester: { publish: ["#"], subscribe: ["#"] }
  nurse: { publish: ["hospital/notes"], subscribe: ["hospital/north/{ward}/device/+/alarm", "hospital/notes"] }
  doctor: { requires: { amr: [mfa] }, publish: ["hospital/notes"], subscribe: ["hospital/#"] }
  bound: { requires: { certificateBound: true }, subscribe: ["hospital/notes"] }
bindings:
  - { role: tester, to: "service:tester" }
${claimsText}  - { issuer: idp, claim: groups, value: bound, role: bound }
`;

const accounts = {
  nurse: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
  doctor: { groups: ["doctors"], amr: ["pwd", "mfa"] },
  "visitor@home.example": { groups: ["nurses"] },
  bound: { groups: ["bound"], cnf: { "x5t#S256": "of a certificate that is made later" } },
};
const provider = await startTestProvider({ accounts });
const stranger = await startTestProvider();
const deployment = await startDeployment({
  policy,
  devices: 0,
  services: ["tester", "other", "lost"],
  files: { "issuers.yaml": issuersText(provider, "idp.pem"), "idp.pem": provider.ca },
  settings: { "listeners.tokenMqtts.accept": "token", "listeners.tokenWss.accept": "token" },
});
after(async () => {
  await deployment.stop();
  await stranger[Symbol.asyncDispose]();
});

const { ca } = deployment.credential("tester");
let said = "";
for (const child of [deployment.brokerProcess, deployment.controlProcess]) {
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (part) => (said += part));
}
/** Every token that was ever sent: none may be found anywhere afterwards. */
const sent: string[] = [];

/** Refusals are counted by address: one test's delay another's no more. */
let addresses = 1;
function anotherAddress(): string {
  addresses += 1;
  return `127.0.0.${addresses}`;
}

async function open(version: 4 | 5 = 5): Promise<RawClient> {
  const socket = connectTls({
    socket: connectTcp({ ...deployment.listener("tokenMqtts"), localAddress: anotherAddress() }),
    servername: "localhost",
    ca,
    minVersion: "TLSv1.3",
  });
  await new Promise((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
  });
  return new RawClient(tlsWire(socket), version);
}

async function answerTo(token: string, options: ConnectOptions = {}, version: 4 | 5 = 5) {
  sent.push(token);
  const client = await open(version);
  const connack = await client.connect({ username: "", password: Buffer.from(token), ...options });
  return { client, connack };
}

async function logIn(account: string): Promise<string> {
  const token = (await provider.logIn(account)).access_token;
  sent.push(token);
  return token;
}

/** Tries until the keys of the provider have come to the broker. */
async function connected(token: string, options: ConnectOptions = {}): Promise<RawClient> {
  for (let tries = 0; tries < 60; tries += 1) {
    const { client, connack } = await answerTo(token, options);
    if (connack.reasonCode === 0) return client;
    await client.expectEnd();
    await new Promise((wake) => setTimeout(wake, 500));
  }
  throw new Error("the token was never accepted");
}

async function lastEvent(type: string): Promise<Record<string, unknown> | undefined> {
  const { events } = await deployment.command("events", { last: 200 });
  return (events as Record<string, unknown>[]).findLast((event) => event["type"] === type);
}

async function eventually<Found>(
  what: string,
  look: () => Promise<Found | undefined>,
): Promise<Found> {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`did not happen: ${what}`);
}

const good = await logIn("nurse");
const first = await connected(good);

/** A good token with other claims or another header, and no good signature. */
function forged(header: object, claims: object, signature?: string): string {
  const [head = "", body = "", own = ""] = good.split(".");
  const change = (part: string, changes: object) =>
    Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(part, "base64url").toString()), ...changes }),
    ).toString("base64url");
  return `${change(head, header)}.${change(body, claims)}.${signature ?? own}`;
}

const seconds = Math.floor(Date.now() / 1000);
const hmac = () => {
  const unsigned = forged({ alg: "HS256" }, {}, "").slice(0, -1);
  return `${unsigned}.${createHmac("sha256", provider.ca).update(unsigned).digest("base64url")}`;
};

const bad: readonly (readonly [string, () => Promise<string> | string, string])[] = [
  ["of nobody: an empty password", () => "", "token-structure"],
  ["that is no token", () => "secret", "token-structure"],
  ["without a signature", () => forged({ alg: "none" }, {}, "AA"), "token-alg"],
  ["signed with the public key as a secret", hmac, "token-alg"],
  ["with its own key", () => forged({ jwk: { kty: "EC" } }, {}), "token-header"],
  ["of an unknown key", () => forged({ kid: "../../etc/passwd" }, {}), "token-kid"],
  ["of another provider", async () => (await stranger.logIn("nurse")).access_token, "token-iss"],
  ["for another resource", () => forged({}, { aud: "urn:other" }), "token-aud"],
  ["of another type", () => forged({ typ: "JWT" }, {}), "token-typ"],
  ["that has expired", () => forged({}, { iat: seconds - 600, exp: seconds - 1 }), "token-exp"],
  ["without an end", () => forged({}, { exp: undefined }), "token-exp"],
  ["that begins tomorrow", () => forged({}, { nbf: seconds + 86_400 }), "token-nbf"],
  ["that lives for a day", () => forged({}, { exp: seconds + 86_400 }), "token-life"],
  ["whose subject was changed", () => forged({}, { sub: "doctor" }), "token-signature"],
  ["that was cut off", () => good.slice(0, -8), "token-structure|token-signature"],
  ["that is huge", () => `${good}${"A".repeat(10_000)}`, "token-size"],
  ["of a person without a role", () => logIn("cleaner"), "token-roles"],
];

describe("a token is refused", () => {
  const answers = new Set<string>();
  for (const [what, make, check] of bad) {
    test(what, async () => {
      const token = await make();
      sent.push(token);
      const client = await open();
      const address = `127.0.0.${addresses}`;
      client.sendConnect({ username: "", password: Buffer.from(token) });
      answers.add((await client.nextBytes()).toString("hex"));
      await client.expectEnd();
      // Two rows in a row may fail the same check: each has an address of its own.
      const event = await eventually("its event", async () => {
        const last = await lastEvent("connect-refused");
        return last?.["address"] === address ? last : undefined;
      });
      assert.match(String(event["check"]), new RegExp(`^(${check})$`));
    });
  }

  test("with the same bytes, whatever was wrong", () => assert.equal(answers.size, 1));

  test("where certificates are asked for", async () => {
    const socket = connectTls({ ...deployment.mqtts, servername: "localhost", ca });
    socket.on("error", () => {});
    await new Promise((resolve) => socket.on("close", resolve).resume());
    const event = await eventually("the refusal", () => lastEvent("handshake-refused"));
    assert.equal(event["check"], "client-certificate");
  });

  test("as a client id that is somebody else's", async () => {
    const { connack, client } = await answerTo(good, { username: "doctor" });
    assert.equal(connack.reasonCode, 0x87);
    await client.expectEnd();
  });
});

describe("a person", () => {
  test("may do what the roles of the token say, and no more", async () => {
    const service = new RawClient(
      tlsWire(await openTls(deployment.mqtts, deployment.credential("tester"))),
      5,
    );
    await service.connect({});
    assert.equal(await first.subscribe("hospital/#"), 0x87);
    assert.equal(await first.subscribe("hospital/north/+/device/+/alarm"), 0x87);
    assert.equal(await first.subscribe("hospital/north/icu/device/+/alarm"), 2);
    assert.equal(await first.publish("hospital/north/icu/device/x/command", "!", { qos: 1 }), 0x87);
    await service.publish("hospital/north/icu/device/m1/alarm", "asystole", { qos: 1 });
    assert.equal((await first.receive()).text, "asystole");
  });

  test("with an address for a subject has an id in the closed alphabet", async () => {
    const client = await connected(await logIn("visitor@home.example"));
    const event = await eventually("the connect", async () => {
      const last = await lastEvent("connected");
      return String(last?.["subject"]).startsWith("person:idp__") ? last : undefined;
    });
    assert.match(String(event["subject"]), /^person:idp__[A-Za-z0-9_-]{32}$/);
    client.wire.socket.destroy();
  });

  test("has the role that needs MFA only with it", async () => {
    const doctor = await connected(await logIn("doctor"));
    assert.equal(await doctor.subscribe("hospital/#"), 2);
    doctor.wire.socket.destroy();
  });

  /** Binds the tokens of the next logins of `bound` to the certificate of a service. */
  const bindTo = (service: string) => {
    const der = new X509Certificate(deployment.credential(service).cert).raw;
    const thumbprint = createHash("sha256").update(der).digest("base64url");
    Object.assign(accounts.bound, { groups: ["bound"], cnf: { "x5t#S256": thumbprint } });
  };
  const answer = async (password: string, subject: string) => {
    const at = { ...deployment.listener("tokenMqtts"), localAddress: anotherAddress() };
    const wire = tlsWire(await openTls(at, deployment.credential(subject)));
    const client = new RawClient(wire, 5);
    const { reasonCode } = await client.connect({ password: Buffer.from(password) });
    return { client, reasonCode };
  };

  test("loses the connection with the certificate that the token is bound to", async () => {
    bindTo("lost");
    const { client, reasonCode } = await answer(await logIn("bound"), "lost");
    assert.equal(reasonCode, 0);
    await deployment.command("revoke", { subject: "service:lost" });
    assert.equal((await client.take("DISCONNECT")).reasonCode, 0x98);
    await client.expectEnd();
  });

  test("has what is bound to a certificate with that certificate only, and a role that asks for it with a bound token only", async () => {
    bindTo("tester");
    const token = await logIn("bound");
    const isRefused = async (reasonCode: number, check: string) => {
      assert.equal(reasonCode, 0x87);
      await eventually(`the refusal by ${check}`, async () =>
        (await lastEvent("connect-refused"))?.["check"] === check ? true : undefined,
      );
    };
    await isRefused((await answerTo(token)).connack.reasonCode, "token-cnf");
    await isRefused((await answer(token, "other")).reasonCode, "token-cnf");
    Object.assign(accounts.bound, { groups: ["bound"], cnf: undefined });
    await isRefused((await answer(await logIn("bound"), "tester")).reasonCode, "token-roles");
    const { client, reasonCode } = await answer(token, "tester");
    assert.equal(reasonCode, 0);
    assert.equal(await client.subscribe("hospital/notes"), 2);
    client.wire.socket.destroy();
  });

  test("renews the token in the session", async () => {
    const token = await logIn("nurse");
    const properties = {
      authenticationMethod: "OAUTH2-JWT",
      authenticationData: Buffer.from(token),
    };
    const client = await open();
    const connack = await client.connect({ properties });
    assert.equal(connack.reasonCode, 0);
    const next = await logIn("nurse");
    const auth = (data: string, reasonCode: number) =>
      client.send({
        type: "AUTH",
        reasonCode,
        properties: { ...properties, authenticationData: Buffer.from(data) },
      });
    auth(await logIn("doctor"), 0x19);
    assert.equal((await client.expect("AUTH")).reasonCode, 0x18);
    auth(next, 0x18);
    const done = await client.expect("AUTH");
    assert.equal(done.reasonCode, 0);
    assert.equal(done.properties.userProperty?.[0]?.[0], "token-expires");
    assert.equal(await client.publish("$token/renew", await logIn("nurse"), { qos: 1 }), 0);
    assert.equal(await client.publish("$token/renew", "nonsense", { qos: 1 }), 0x87);
    await client.settle();
    client.wire.socket.destroy();
  });

  test("loses the connection within a second when the tokens are revoked, and not before the next login", async () => {
    const other = await connected(await logIn("doctor"));
    const { brokers } = await deployment.command("token.revoke", { subject: "person:idp_nurse" });
    assert.ok(brokers.every(({ milliseconds }) => milliseconds < 1_000));
    assert.equal((await first.take("DISCONNECT")).reasonCode, 0x87);
    await first.expectEnd();
    const { connack, client } = await answerTo(good);
    assert.equal(connack.reasonCode, 0x87);
    await client.expectEnd();
    await other.settle();
    other.wire.socket.destroy();
    const tooSoon = await logIn("nurse");
    const refused = await answerTo(tooSoon);
    assert.equal(refused.connack.reasonCode, 0x87, "the provider's clock may be ahead");
    await refused.client.expectEnd();
    await new Promise((wake) => setTimeout(wake, 6_000)); // iat has whole seconds
    assert.equal((await answerTo(tooSoon)).connack.reasonCode, 0x87);
    (await connected(await logIn("nurse"))).wire.socket.destroy();
  });

  test("comes over WebSocket with MQTT.js, each time with a fresh token", async () => {
    const { port } = deployment.listener("tokenWss");
    let fetched = 0;
    const client = await connectWithToken({
      connect: mqtt.connect,
      url: `wss://localhost:${port}/mqtt`,
      fetchToken: async () => {
        fetched += 1;
        return logIn("doctor");
      },
      options: { ca, clientId: "tablet" },
    });
    const online = () => new Promise<void>((resolve) => client.once("connect", () => resolve()));
    if (!client.connected) await online();
    await client.subscribeAsync("hospital/notes");
    const got = new Promise<string>((resolve) =>
      client.once("message", (_, text) => resolve(String(text))),
    );
    await client.publishAsync("hospital/notes", "bed 4", { qos: 1 });
    assert.equal(await got, "bed 4");
    const again = online();
    client.stream.destroy();
    await again;
    assert.equal(fetched, 2);
    await client.endAsync();
  });

  test("is judged by new keys soon after the provider uses them", async () => {
    provider.rotate(1);
    const client = await connected(await logIn("nurse"));
    await client.settle();
    client.wire.socket.destroy();
  });
});

test("other claims in the policy end the connections of their issuer, and count from the next login on", async () => {
  const token = await logIn("nurse");
  const before = await connected(token, { will: { topic: "hospital/notes", payload: "gone" } });
  assert.equal(await before.subscribe("hospital/notes"), 2);
  const change = async (text: string) => {
    writeFileSync(join(deployment.directory, "policy.yaml"), text);
    await deployment.command("reload", {});
  };
  await change(policy.replace("value: nurses, role: nurse", "value: nobody, role: nurse"));
  assert.equal((await before.take("DISCONNECT")).reasonCode, 0x87);
  await before.expectEnd();
  await eventually("its will is withheld", async () =>
    (await lastEvent("will-denied"))?.["subject"] === "person:idp_nurse" ? true : undefined,
  );
  const { connack, client } = await answerTo(token);
  assert.equal(connack.reasonCode, 0x87);
  await client.expectEnd();
  await change(policy);
  const after = await connected(token);
  assert.equal(await after.subscribe("hospital/notes"), 2);
  after.wire.socket.destroy();
});

test("an app comes for itself", async () => {
  const { access_token: token } = await provider.appToken("reports", "a-secret-of-the-app");
  const client = await connected(token, { username: "reports" });
  assert.equal(await client.subscribe("anything/#"), 2);
  client.wire.socket.destroy();
});

test("whoever has a token comes in while the provider is away", async () => {
  const token = await logIn("nurse");
  sent.push((await provider.logIn("cleaner")).access_token);
  await provider[Symbol.asyncDispose]();
  await deployment.command("reload", {});
  const { client, connack } = await answerTo(token);
  assert.equal(connack.reasonCode, 0);
  client.wire.socket.destroy();
});

test("each check of a token is explained, and the token is not repeated", async () => {
  const { checks } = await deployment.command("token.explain", { token: sent.at(-2) ?? "" });
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  assert.deepEqual(
    failed.map(({ check, found }) => [check, found]),
    [["roles", "none"]],
  );
});

test("no token is found in any output, event, file or process argument afterwards", async () => {
  const files = readdirSync(deployment.directory, { recursive: true, encoding: "utf8" });
  let searched = said;
  for (const name of files) {
    try {
      searched += readFileSync(join(deployment.directory, name), "latin1");
    } catch {
      // a folder or a socket
    }
  }
  for (const { pid } of [deployment.brokerProcess, deployment.controlProcess]) {
    searched += readFileSync(`/proc/${pid}/cmdline`, "latin1");
  }
  assert.ok(searched.includes("connect-refused"), "there is something to search");
  assert.ok(sent.length > 20);
  for (const token of sent.filter((one) => one.length > 20)) {
    const [, claims = "", signature = ""] = token.split(".");
    for (const part of [token, claims, signature].filter(({ length }) => length > 20)) {
      assert.ok(!searched.includes(part), "a token, or a part of one, was kept");
    }
  }
});
