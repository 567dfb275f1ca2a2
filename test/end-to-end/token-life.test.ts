import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import {
  apiAudience,
  asking,
  claimsText,
  issuersText,
  opaqueAudience,
  startTestProvider,
  type TestProvider,
} from "../support/identity-provider.ts";
import { RawClient } from "../support/raw-client.ts";
import { tlsWire } from "../support/wire.ts";

const policy = `
topics: { schema: off }
roles:
  tester: { publish: ["#"], subscribe: ["#"] }
  nurse: { subscribe: ["hospital/notes"] }
  doctor: { subscribe: ["hospital/#"] }
  all-wards: { subscribe: ["hospital/+/+/device/+/alarm"] }
bindings:
  - { role: tester, to: "service:tester" }
${claimsText}`;

/** `introspection` makes opaque tokens count; they are for an audience of their own at this provider. */
const rest = `    introspection: { clientId: ${asking.id}, clientSecretFile: idp-secret, cacheSeconds: 0 }
    backChannelLogout: { clients: [wardmq-cli] }
    api:
      audience: ${apiAudience}
      roles:
        - { role: viewer, claim: groups, value: nurses }
        - { role: security-officer, claim: groups, value: doctors, amr: [mfa] }
      breakGlass:
        - { name: all-wards, policyRole: all-wards, claim: groups, value: nurses, longestMinutes: 30 }
        - { name: officer, apiRole: security-officer, claim: groups, value: nurses, longestMinutes: 30 }
        - { name: with-two, apiRole: operator, claim: groups, value: nurses, secondPerson: true }
        - { name: strong, apiRole: operator, claim: groups, value: nurses, amr: [mfa] }
`;

let provider: TestProvider;
let deployment: Deployment;
let isProviderAway = false;
let said = "";
/** What `early` has taken for a minute, the shortest time, before all else; its end is looked at when that is over. */
let early: { readonly token: string; readonly client: RawClient };

before(async () => {
  provider = await startTestProvider({
    accounts: {
      nurse: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
      other: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
      early: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
      doctor: { groups: ["doctors"], amr: ["pwd", "mfa"] },
      chief: { groups: ["doctors"], amr: ["pwd", "mfa"] },
    },
  });
  deployment = await startDeployment({
    policy,
    devices: 0,
    services: ["tester"],
    files: {
      "issuers.yaml": issuersText(provider, "idp.pem", rest),
      "idp.pem": provider.ca,
      "idp-secret": `${asking.secret}\n`,
    },
    settings: { "listeners.tokenMqtts.accept": "token" },
  });
  chmodSync(join(deployment.directory, "idp-secret"), 0o600);
  for (const { stdout, stderr } of [deployment.brokerProcess, deployment.controlProcess])
    for (const stream of [stdout, stderr]) stream?.on("data", (part) => (said += part));
  const { port } = deployment.controlListener("api");
  const ca = readFileSync(join(deployment.directory, "control/root-ca.pem"), "utf8");
  provider.tellLogoutsTo({ url: `https://localhost:${port}/v1/back-channel-logout`, ca });
  await connected((await provider.logIn("doctor")).access_token).then(leave);
  const token = await apiToken("early");
  for (const name of ["all-wards", "officer"])
    assert.equal((await take(token, name, 1)).status, 200);
  const client = await connected((await provider.logIn("early")).access_token);
  assert.ok(await until(async () => (await client.subscribe(alarms)) !== 0x87));
  early = { token, client };
});
after(async () => {
  await deployment?.stop();
  if (!isProviderAway) await provider?.[Symbol.asyncDispose]();
});

/** Everything that was secret: tokens, and what they were got with. */
const secrets: string[] = [asking.secret];

let addresses = 1;
function nextAddress(): string {
  addresses += 1;
  return `127.0.0.${addresses}`;
}

async function connect(token: string, localAddress = nextAddress()) {
  secrets.push(token);
  const socket = connectTls({
    socket: connectTcp({ ...deployment.listener("tokenMqtts"), localAddress }),
    servername: "localhost",
    ca: deployment.credential("tester").ca,
    minVersion: "TLSv1.3",
  });
  await new Promise((resolve, reject) => {
    socket.once("secureConnect", resolve);
    socket.once("error", reject);
  });
  const client = new RawClient(tlsWire(socket), 5);
  const connack = await client.connect({ username: "", password: Buffer.from(token) });
  return { client, reasonCode: connack.reasonCode };
}

/** Tries until the keys of the provider have come to the broker. */
async function connected(token: string): Promise<RawClient> {
  for (let tries = 0; tries < 60; tries += 1) {
    const { client, reasonCode } = await connect(token);
    if (reasonCode === 0) return client;
    await new Promise((wake) => setTimeout(wake, 500));
  }
  throw new Error("the token was never accepted");
}

async function isRefused(token: string, check: string): Promise<void> {
  const { client, reasonCode } = await connect(token);
  assert.equal(reasonCode, 0x87);
  await client.expectEnd();
  const isLast = async () => (await eventOf("connect-refused"))["check"] === check;
  assert.ok(await until(isLast), String((await eventOf("connect-refused"))["check"]));
}

const forgeryOf = (token: string) => `${token.slice(0, -4)}AAAA`;
const leave = (client: RawClient) => client.wire.socket.destroy();

async function eventOf(type: string): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < 100; tries += 1) {
    const { events } = await deployment.command("events", { last: 30 });
    const found = (events as Record<string, unknown>[]).findLast((one) => one["type"] === type);
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`there was no ${type}`);
}

interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

/** A call of the API with a token, or a form with none. */
function call(token: string | undefined, route: string, body?: object | string): Promise<Answer> {
  const [method = "GET", path = "/"] = route.split(" ");
  const { port } = deployment.controlListener("api");
  const type = typeof body === "string" ? "application/x-www-form-urlencoded" : "application/json";
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...{ host: "127.0.0.1", port, method, path, servername: "localhost", agent: false },
        ca: deployment.credential("tester").ca,
        headers: {
          host: "localhost",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": type }),
        },
      },
      (response) => {
        let text = "";
        response.on("data", (part) => (text += part));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, json: text === "" ? {} : JSON.parse(text) }),
        );
      },
    );
    asked.on("error", reject);
    asked.end(typeof body === "object" ? JSON.stringify(body) : body);
  });
}

const alarms = "hospital/+/+/device/+/alarm";

function take(token: string, name: string, minutes?: number): Promise<Answer> {
  return call(token, "POST /v1/break-glass", {
    ...{ name, because: "the ward's gateway is down" },
    ...(minutes === undefined ? {} : { minutes }),
  });
}

const revokeNobody = (token: string) => call(token, "POST /v1/operators/operator:nobody/revoke");

async function usesOf(person: string) {
  const { uses } = await deployment.command("break-glass.list", {});
  return uses.filter((use) => use.person === person);
}

async function apiToken(account: string): Promise<string> {
  const { access_token: token } = await provider.logIn(account, undefined, apiAudience);
  secrets.push(token);
  return token;
}

describe("a logout at the identity provider", () => {
  test("ends the sessions of that login within a second, and no others", async () => {
    const login = await provider.logIn("nurse");
    const [first, second] = [
      await connected(login.access_token),
      await connected((await provider.logIn("nurse")).access_token),
    ];
    await login.logOut();
    assert.equal((await first.take("DISCONNECT")).reasonCode, 0x87);
    await second.settle();
    leave(second);
    assert.equal((await eventOf("logged-out"))["subject"], "person:idp_nurse");
    await isRefused(login.access_token, "token-revoked");
  });

  test("is believed by its token only, and nothing else can be reached without a credential", async () => {
    const { access_token: token } = await provider.logIn("nurse");
    const client = await connected(token);
    for (const body of [
      "",
      "logout_token=x",
      `logout_token=${token}`,
      "logout_token=a&logout_token=b",
    ]) {
      assert.equal((await call(undefined, "POST /v1/back-channel-logout", body)).status, 400, body);
    }
    assert.equal((await call(undefined, "POST /v1/back-channel-logout", {})).status, 400);
    assert.equal((await call(undefined, "GET /v1/back-channel-logout")).status, 401);
    assert.equal((await call(undefined, "GET /v1/subjects")).status, 401);
    await client.settle();
    leave(client);
  });
});

describe("what is taken in an emergency", () => {
  test("is refused to who may not, for longer, without MFA, of no role, and without a token", async () => {
    const [nurse, doctor] = [await apiToken("nurse"), await apiToken("doctor")];
    for (const [token, name, minutes] of [
      [doctor, "all-wards", 5],
      [nurse, "strong", 5],
      [nurse, "no-such-row", 5],
    ] as const) {
      const { status, json } = await take(token, name, minutes);
      assert.deepEqual([status, json["code"]], [409, "ERR_BREAK_GLASS"], name);
    }
    // What no row allows is a wrong request, whichever of the two limits it is beyond.
    for (const minutes of [0, 31, 481]) {
      const { status, json } = await take(nurse, "all-wards", minutes);
      assert.deepEqual([status, json["code"]], [400, "ERR_REQUEST"], `${minutes} minutes`);
    }
    const wanted = { name: "all-wards", because: "x" };
    await assert.rejects(deployment.command("break-glass.take", wanted), /no person with a token/);
    assert.deepEqual(await usesOf("person:idp_nurse"), []);
  });

  test("is a role of the policy at once, in live sessions too, with an alarm, and gone when it is ended", async () => {
    const client = await connected((await provider.logIn("nurse")).access_token);
    assert.equal(await client.subscribe(alarms), 0x87);
    const token = await apiToken("nurse");
    const { status, json } = await take(token, "all-wards", 5);
    assert.equal(status, 200, JSON.stringify(json));
    const alarm = await eventOf("break-glass-taken");
    assert.equal(alarm["subject"], "person:idp_nurse");
    assert.ok(!JSON.stringify(alarm).includes("gateway"), "the reason is a person's text");
    assert.equal(await until(async () => (await client.subscribe(alarms)) !== 0x87), true);

    const again = await take(token, "all-wards", 5);
    assert.equal(again.json["code"], "ERR_BREAK_GLASS", "it can not be made longer");
    const other = await call(await apiToken("other"), `POST /v1/break-glass/${json["id"]}/end`);
    assert.equal(other.json["code"], "ERR_FORBIDDEN", "nor ended by others");
    assert.equal((await call(token, `POST /v1/break-glass/${json["id"]}/end`)).status, 200);
    assert.equal((await client.take("DISCONNECT")).reasonCode, 0x87);
    const twice = await call(token, `POST /v1/break-glass/${json["id"]}/end`);
    assert.equal(twice.json["code"], "ERR_BREAK_GLASS");
  });

  test("is a role of the API for that person and login only, and for no longer", async () => {
    const token = await apiToken("nurse");
    assert.equal((await revokeNobody(token)).json["code"], "ERR_FORBIDDEN");
    const { json } = await take(token, "officer", 1);
    assert.equal((await revokeNobody(token)).json["code"], "ERR_SUBJECT_UNKNOWN");
    assert.equal((await revokeNobody(await apiToken("other"))).json["code"], "ERR_FORBIDDEN");
    // Its own review is nobody's.
    await call(token, `POST /v1/break-glass/${json["id"]}/end`);
    assert.equal((await revokeNobody(token)).json["code"], "ERR_FORBIDDEN");
  });

  test("waits for a second person where it has to, who gets nothing by approving", async () => {
    const [nurse, doctor] = [await apiToken("nurse"), await apiToken("doctor")];
    const asked = await take(nurse, "with-two");
    assert.equal(asked.status, 202);
    const { id } = asked.json["approval"] as { id: string };
    const approve = (by: string) => call(by, `POST /v1/approvals/${id}/approve`);
    assert.equal((await approve(nurse)).json["code"], "ERR_FORBIDDEN");
    const done = await approve(doctor);
    assert.equal(done.status, 200, JSON.stringify(done.json));
    const { person } = done.json["result"] as { person: string };
    assert.equal(person, "person:idp_nurse");
    assert.equal((await approve(doctor)).json["code"], "ERR_APPROVAL_DECIDED", "nor twice");
  });

  test("is reviewed by another security officer, once it has ended", async () => {
    const uses = await usesOf("person:idp_nurse");
    const [active] = uses.filter(({ state }) => state === "active");
    const ended = uses.filter(({ state }) => state === "ended");
    assert.deepEqual([active?.name, ended.length], ["with-two", 2]);
    const doctor = await apiToken("doctor");
    const finding = { finding: "as told" };
    const review = (id = "", by = doctor) => call(by, `POST /v1/break-glass/${id}/review`, finding);
    assert.equal((await review(active?.id)).json["code"], "ERR_BREAK_GLASS");
    assert.equal((await review("0000000000000000")).status, 404);
    assert.equal((await review(ended[0]?.id, await apiToken("nurse"))).status, 403);
    assert.equal((await review(ended[0]?.id)).status, 200);
    const [, last] = (await usesOf("person:idp_nurse")).filter(({ state }) => state !== "active");
    assert.deepEqual([last?.state, last?.reviewedBy], ["reviewed", "person:idp_doctor"]);
  });
});

describe("whoever is banned", () => {
  test("is judged again when an operator lifts it; what the tokens said they were of is counted only", async () => {
    const { access_token: good } = await provider.logIn("nurse");
    secrets.push(good);
    const forged = forgeryOf(good);
    const tries = Array.from({ length: 60 }, () => call(forged, "GET /v1/subjects"));
    for (const { status } of await Promise.all(tries)) assert.equal(status, 401);
    const { bans, claimed } = await deployment.command("bans", {});
    assert.equal(bans[0]?.of, "address 127.0.0.1");
    assert.ok(claimed.some(({ of }) => of === "issuer idp"));
    const doctor = await apiToken("doctor");
    assert.equal((await call(doctor, "GET /v1/subjects")).status, 401);
    const nobody = { of: "address 192.0.2.1" };
    await assert.rejects(deployment.command("bans.lift", nobody), /is not banned/);
    await deployment.command("bans.lift", { of: "address 127.0.0.1" });
    assert.equal((await call(doctor, "GET /v1/subjects")).status, 200);
    assert.equal((await eventOf("ban-lifted"))["check"], "address 127.0.0.1");
    // The person whose name was on them comes in as before.
    const client = await connected(good);
    leave(client);
  });
});

describe("what was taken for a minute", () => {
  test("is gone by itself, in live sessions too, and waits for a review", async () => {
    const hasEnded = async () =>
      (await usesOf("person:idp_early")).every(({ state }) => state === "ended");
    assert.ok(await until(hasEnded, 1_500));
    const { token, client } = early;
    assert.equal((await client.take("DISCONNECT")).reasonCode, 0x87);
    const again = await connected((await provider.logIn("early")).access_token);
    assert.equal(await again.subscribe(alarms), 0x87);
    leave(again);
    assert.equal((await revokeNobody(token)).json["code"], "ERR_FORBIDDEN");
    const ends = async () => {
      const { events } = await deployment.command("events", { last: 10_000 });
      return (events as { type: string; subject?: string; details?: { actor: string } }[])
        .filter(({ type, subject }) => type === "break-glass-ended" && subject?.endsWith("_early"))
        .map(({ details }) => details?.actor);
    };
    assert.ok(await until(async () => (await ends()).length === 2));
    assert.deepEqual(await ends(), ["control", "control"]);
    const { uses } = await deployment.command("break-glass.list", {});
    assert.equal(uses.at(-1)?.state, "reviewed", "what nobody has reviewed comes first");
  });
});

describe("whoever a broker has banned", () => {
  test("is shown by a control that has begun later, and let in again by it whatever its clock says", async () => {
    const { access_token: good } = await provider.logIn("nurse");
    const address = nextAddress();
    const tries = Array.from({ length: 50 }, () => connect(forgeryOf(good), address));
    for (const { reasonCode } of await Promise.all(tries)) assert.equal(reasonCode, 0x87);
    await assert.rejects(connect(good, address)); // closed before TLS
    const shed = async () => (await eventOf("connection-shed"))["check"] === "token-banned";
    assert.ok(await until(shed));
    await deployment.killControl();
    await deployment.startControl();
    const shown = async () => {
      const { bans, brokers } = await deployment.command("bans", {});
      return brokers === 1 && bans.map(({ of }) => of).includes(`address ${address}`);
    };
    assert.ok(await until(shown));
    await deployment.command("bans.lift", { of: `address ${address}` });
    assert.deepEqual((await deployment.command("bans", {})).bans, []);
    const { client, reasonCode } = await connect(good, address);
    assert.equal(reasonCode, 0);
    leave(client);
  });
});

describe("an opaque token", () => {
  test("is asked about: in while it is active, and out when its issuer has revoked it", async () => {
    await useOpaque();
    const { access_token: token } = await provider.logIn("doctor", undefined, opaqueAudience);
    assert.ok(!token.includes("."), "it is opaque");
    const client = await connected(token);
    assert.equal(await client.subscribe("hospital/#"), 2);
    leave(client);
    await provider.revoke(token);
    await isRefused(token, "token-introspection");
    await isRefused("a-token-of-nobody", "token-introspection");
    const { checks } = await deployment.command("token.explain", { token });
    assert.equal(checks.find(({ check }) => check === "introspection")?.outcome, "failed");
  });

  test("gets nobody in while its issuer is away", async () => {
    const { access_token: token } = await provider.logIn("doctor", undefined, opaqueAudience);
    secrets.push(token);
    isProviderAway = true;
    await provider[Symbol.asyncDispose]();
    await isRefused(token, "token-issuer");
    assert.equal((await eventOf("issuer-unavailable"))["why"], "ECONNREFUSED");
    const { checks } = await deployment.command("token.explain", { token });
    assert.deepEqual(
      checks.map(({ check, outcome, found }) => [check, outcome, found.slice(0, 9)]),
      [["introspection", "failed", "no answer"]],
    );
  });

  /** At this provider an audience has one format; the broker's is that of the opaque ones from here on. */
  async function useOpaque(): Promise<void> {
    const text = issuersText(provider, "idp.pem", rest).replace(
      /audience: .*/,
      `audience: ${opaqueAudience}`,
    );
    writeFileSync(join(deployment.directory, "issuers.yaml"), text);
    await deployment.command("reload", {});
  }
});

test("no token, code or secret stands in any output or event", async () => {
  const { events } = await deployment.command("events", { last: 10_000 });
  const text = `${said}${JSON.stringify(events)}`;
  assert.ok(secrets.length > 20);
  for (const secret of secrets) {
    for (const part of [secret, ...secret.split(".").slice(1)].filter(({ length }) => length > 20))
      assert.ok(!text.includes(part), "a secret was said");
  }
});

async function until(holds: () => Promise<boolean>, most = 100): Promise<boolean> {
  for (let tries = 0; tries < most; tries += 1) {
    if (await holds()) return true;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  return false;
}
