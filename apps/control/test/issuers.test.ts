import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { type IssuerSettings, parseIssuers } from "@wardmq/tokens";
import { issue } from "../../../test/support/certificates.ts";
import { askHttps, type HttpsQuestion, IssuerUnavailable } from "../src/tokens/https-text.ts";
import { Issuers } from "../src/tokens/issuers.ts";

const [settings] = parseIssuers(`issuers:
  idp:
    issuer: https://idp.example/realm
    audience: wardmq
    keysMaximumAgeSeconds: 3600
`) as [IssuerSettings];

const jwk = (kid: string) => ({
  ...generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" }),
  kid,
});
const root = await issue(undefined, { commonName: "root", isAuthority: true });
const discovery = "https://idp.example/realm/.well-known/openid-configuration";
const metadata = { issuer: "https://idp.example/realm", jwks_uri: "https://idp.example/jwks" };

/** Issuers whose answers and clock are in the hands of the test. */
function underTest(cached?: string) {
  const answers = new Map<string, unknown>([
    [discovery, metadata],
    ["https://idp.example/jwks", { keys: [jwk("k1")] }],
  ]);
  const asked: HttpsQuestion[] = [];
  const events: string[] = [];
  const state = { now: 1_000_000, cached, changes: 0, isDiskFull: false };
  const files = new Map([["idp.pem", `# of the provider\n${root.pem}`]]);
  const failures: unknown[] = [];
  const issuers = new Issuers({
    ask: async (question) => {
      asked.push(question);
      const answer = answers.get(question.url);
      if (answer === undefined) throw new IssuerUnavailable("it did not answer in time");
      return typeof answer === "string" ? answer : JSON.stringify(answer);
    },
    now: () => state.now,
    readFile: (path) => files.get(path) ?? "",
    record: ({ type, why }) => events.push(why === undefined ? type : `${type}: ${why}`),
    changed: () => {
      state.changes += 1;
    },
    cache: {
      read: () => state.cached,
      write: (text) => {
        if (state.isDiskFull) throw new Error("ENOSPC");
        state.cached = text;
      },
    },
    failed: (error) => failures.push(error),
  });
  const kids = () => issuers.list().map(({ keys }) => keys.map(({ kid }) => kid));
  return { issuers, answers, asked, events, state, kids, files, failures };
}

describe("an issuer's keys", () => {
  const refusals: readonly (readonly [string, string, unknown, RegExp])[] = [
    [
      "of another issuer's document",
      discovery,
      { ...metadata, issuer: "https://evil" },
      /another issuer/,
    ],
    [
      "that lie behind http",
      discovery,
      { ...metadata, jwks_uri: "http://idp.example/jwks" },
      /no jwks_uri that is HTTPS/,
    ],
    ...["https://", "https://a b/", "https://[::1/", "https://x:99999/", "https://u:p@idp/"].map(
      (uri) =>
        [
          `that lie at ${uri}`,
          discovery,
          { ...metadata, jwks_uri: uri },
          /no jwks_uri that is HTTPS/,
        ] as const,
    ),
    ["of a document that is no JSON", discovery, "<html>", /no JSON/],
    ["of a document that is no object", discovery, "null", /another issuer/],
    ["that are no key set", metadata.jwks_uri, { keys: "k" }, /no JWK Set/],
    [
      "that are too many",
      metadata.jwks_uri,
      { keys: Array.from({ length: 65 }, () => ({})) },
      /its JWK Set has 65 keys, more than 64/,
    ],
    [
      "of which none can be used",
      metadata.jwks_uri,
      { keys: [{ kty: "oct", kid: "k", k: "AA" }] },
      /no key/,
    ],
    ["of an issuer that is away", metadata.jwks_uri, undefined, /did not answer/],
  ];
  for (const [what, url, answer, why] of refusals) {
    test(`are not taken: those ${what}`, async () => {
      const { issuers, answers, events, kids, state } = underTest();
      if (answer === undefined) answers.delete(url);
      else answers.set(url, answer);
      issuers.use([settings]);
      await issuers.refresh("idp");
      assert.deepEqual(kids(), [[]]);
      assert.equal(issuers.list()[0]?.keysUntil, 0);
      assert.match(events.at(-1) ?? "", why);
      assert.equal(state.changes, 0);
      issuers.close();
    });
  }

  test("are fetched by discovery, and told with the time until which they count", async () => {
    const { issuers, events, kids } = underTest();
    issuers.use([settings]);
    await issuers.refresh("idp");
    assert.deepEqual(kids(), [["k1"]]);
    assert.equal(issuers.list()[0]?.keysUntil, 1_000_000 + 3_600_000);
    assert.ok(events.includes("issuer-keys-changed"));
    assert.ok(!JSON.stringify(issuers.list()).includes("caFile"));
    issuers.close();
  });

  test("are fetched without discovery where the file says where they are, and with its CA", async () => {
    const { issuers, asked, kids } = underTest();
    issuers.use([{ ...settings, jwksUri: metadata.jwks_uri, caFile: "idp.pem" }]);
    await issuers.refresh("idp");
    assert.deepEqual(kids(), [["k1"]]);
    assert.ok(
      asked.every(({ url, ca }) => url === metadata.jwks_uri && ca?.trim() === root.pem.trim()),
    );
    issuers.close();
  });

  test("are not asked for by a CA that is none", async () => {
    const { issuers, asked, events, files, failures } = underTest();
    const empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (const text of ["", "no PEM", root.key, empty, root.pem + empty]) {
      files.set("idp.pem", text);
      events.length = 0;
      issuers.use([{ ...settings, caFile: "idp.pem" }]);
      await issuers.refresh("idp");
      assert.deepEqual(events, ["issuer-unavailable: idp.pem holds no certificate in PEM"]);
    }
    assert.deepEqual([asked.length, failures.length], [0, 0]);
    issuers.close();
  });

  test("are told to brokers, and count, where they can not be kept", async () => {
    const { issuers, kids, state, failures } = underTest();
    state.isDiskFull = true;
    issuers.use([settings]);
    await issuers.refresh("idp");
    assert.deepEqual(kids(), [["k1"]]);
    assert.ok(state.changes > 0);
    assert.match(String(failures[0]), /ENOSPC/);
    issuers.close();
  });

  test("are asked for again whatever goes wrong, which is an outage and a line for a person", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { issuers, answers, events, kids, failures } = underTest();
    const keys = answers.get(metadata.jwks_uri);
    answers.set(metadata.jwks_uri, 1n); // no JSON can be made of it
    issuers.use([settings]);
    await issuers.refresh("idp");
    assert.ok(failures[0] instanceof TypeError);
    assert.match(String(events.at(-1)), /^issuer-unavailable: control could not take its keys/);
    answers.set(metadata.jwks_uri, keys);
    t.mock.timers.tick(5_000);
    await new Promise((done) => setImmediate(done));
    assert.deepEqual(kids(), [["k1"]]);
    issuers.close();
  });

  test("follow a rotation, and stay with their old age while the issuer is away", async () => {
    const { issuers, answers, kids, state } = underTest();
    issuers.use([settings]);
    await issuers.refresh("idp");
    answers.set(metadata.jwks_uri, { keys: [jwk("k1"), jwk("k2")] });
    await issuers.refresh("idp");
    assert.deepEqual(kids(), [["k1", "k2"]]);
    answers.clear();
    state.now += 60_000;
    await issuers.refresh("idp");
    assert.deepEqual(kids(), [["k1", "k2"]]);
    assert.equal(issuers.list()[0]?.keysUntil, 1_000_000 + 3_600_000);
    issuers.close();
  });

  test("are missed in one event a minute, and in another for each other reason and each outage", async () => {
    const { issuers, answers, events, state } = underTest();
    const told = () => events.filter((event) => event.startsWith("issuer-unavailable")).length;
    const refresh = async (ms: number) => {
      state.now += ms;
      await issuers.refresh("idp");
      return told();
    };
    const keys = answers.get(metadata.jwks_uri);
    answers.delete(metadata.jwks_uri);
    issuers.use([{ ...settings, jwksUri: metadata.jwks_uri }]);
    assert.equal(await refresh(0), 1);
    assert.equal(await refresh(59_000), 1);
    assert.equal(await refresh(1_000), 2);
    answers.set(metadata.jwks_uri, "<html>");
    assert.equal(await refresh(1), 3);
    answers.set(metadata.jwks_uri, keys);
    assert.equal(await refresh(1), 3);
    answers.set(metadata.jwks_uri, "<html>");
    assert.equal(await refresh(1), 4);
    issuers.close();
  });

  test("are asked for when a broker misses one, and not again at once", async () => {
    const { issuers, asked, state } = underTest();
    issuers.use([settings]);
    await issuers.refresh("idp");
    const before = asked.length;
    issuers.keyIsMissing("idp");
    issuers.keyIsMissing("unheard-of");
    assert.equal(asked.length, before);
    state.now += 5_000;
    issuers.keyIsMissing("idp");
    issuers.keyIsMissing("idp");
    assert.equal(asked.length, before + 1);
    issuers.close();
  });

  test("outlive control, as old as they are, and for the same issuer only", async () => {
    const first = underTest();
    first.issuers.use([settings]);
    await first.issuers.refresh("idp");
    first.issuers.close();
    const future = underTest(first.state.cached?.replace(/"fetchedAt":\d+/, '"fetchedAt":1000001'));
    future.answers.clear();
    future.issuers.use([settings]);
    assert.deepEqual(future.kids(), [[]], "a clock that was wrong makes no key younger");
    future.issuers.close();
    const again = underTest(first.state.cached);
    again.answers.clear();
    again.issuers.use([settings]);
    assert.deepEqual(again.kids(), [["k1"]]);
    assert.equal(again.issuers.list()[0]?.keysUntil, 1_000_000 + 3_600_000);
    again.issuers.use([{ ...settings, issuer: "https://other.example" }]);
    assert.deepEqual(again.kids(), [[]]);
    again.issuers.close();
    const broken = underTest('{"idp":{"issuer":7}}');
    broken.answers.clear();
    broken.issuers.use([settings]);
    assert.deepEqual(broken.kids(), [[]]);
    broken.issuers.close();
  });
});

describe("asking over HTTPS", async () => {
  const leaf = await issue(root, { commonName: "idp", names: [{ dns: "localhost" }] });
  const trickles: NodeJS.Timeout[] = [];
  const trickle = (response: ServerResponse) => setInterval(() => response.write(" "), 5);
  const server = createServer({ key: leaf.key, cert: leaf.chain }, (request, response) => {
    if (request.url === "/redirect") response.writeHead(302, { location: "/ok" }).end();
    else if (request.url === "/long") response.end(Buffer.alloc(300_000, 0x20));
    else if (request.url === "/slow") trickles.push(trickle(response));
    else if (request.url === "/silent") trickles.push(setInterval(() => {}, 1_000));
    else if (request.url === "/error") response.writeHead(500).end("secret of the server");
    else response.end("as it is");
  });

  test("takes a 200 of a server it trusts, and nothing else", async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const base = `https://localhost:${(server.address() as AddressInfo).port}`;
    const ca = root.pem;
    const fails = (url: string, trusted: string | undefined, why: RegExp) =>
      assert.rejects(askHttps({ url, ca: trusted }), (error) => {
        assert.ok(error instanceof IssuerUnavailable);
        assert.match(error.message, why);
        return true;
      });
    await fails(`${base}/redirect`, ca, /answered 302/);
    await fails(`${base}/long`, ca, /too long/);
    await fails(`${base}/error`, ca, /^it answered 500$/);
    for (const path of ["slow", "silent"]) {
      const asked = askHttps({ url: `${base}/${path}`, ca, timeoutMs: 300 });
      await assert.rejects(asked, /did not answer in time/, path);
    }
    for (const timer of trickles) clearInterval(timer);
    await fails(`${base}/ok`, undefined, /^[A-Z_]+$/);
    await fails(base.replace("https:", "http:"), ca, /not HTTPS/);
    for (const url of ["https://", "https://a b/", "https://x:99999/"])
      await fails(url, ca, /^[A-Z_]+$/);
    assert.equal(await askHttps({ url: `${base}/ok`, ca }), "as it is");
    server.closeAllConnections();
    server.close();
  });
});
