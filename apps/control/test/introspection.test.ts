import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type IssuerSettings, parseIssuers } from "@wardmq/tokens";
import { type HttpsQuestion, IssuerUnavailable } from "../src/tokens/https-text.ts";
import { Introspection } from "../src/tokens/introspection.ts";

const [settings] = parseIssuers(`issuers:
  idp:
    issuer: https://idp.example/realm
    audience: wardmq
    introspection: { clientId: "a client", clientSecretFile: secret.txt, cacheSeconds: 10 }
`) as [IssuerSettings];
const discovery = "https://idp.example/realm/.well-known/openid-configuration";
const endpoint = "https://idp.example/introspect";
const other = { ...settings, issuer: "https://other.example" };
const theOther = { issuer: other.issuer, introspection_endpoint: "https://other.example/ask" };

/** An issuer whose answers and clock are in the hands of the test. */
function underTest() {
  const asked: HttpsQuestion[] = [];
  const events: string[] = [];
  const state = {
    now: 1_000_000_000,
    issuer: settings as IssuerSettings | undefined,
    metadata: async (): Promise<unknown> => ({
      issuer: settings.issuer,
      introspection_endpoint: endpoint,
    }),
    looked: 0,
    secret: "secret of one",
    answer: async (): Promise<unknown> => ({ active: true, sub: "ann", exp: 1_000_600 }),
  };
  const introspection = new Introspection({
    ask: async (question) => {
      if (question.form === undefined) {
        state.looked += 1;
        return JSON.stringify(question.url === discovery ? await state.metadata() : theOther);
      }
      asked.push(question);
      const answer = await state.answer();
      return typeof answer === "string" ? answer : JSON.stringify(answer);
    },
    issuer: () => state.issuer,
    now: () => state.now,
    readFile: (path) => path,
    readSecret: () => `${state.secret}\n`,
    record: ({ type, why }) => events.push(`${type}: ${why}`),
  });
  return { introspection, asked, events, state };
}

describe("an opaque token has no answer", () => {
  test("where nobody is to be asked", async () => {
    const { introspection, asked, state } = underTest();
    state.issuer = undefined;
    assert.equal(await introspection.of("secret"), undefined);
    assert.equal(asked.length, 0);
  });

  const bad: readonly (readonly [string, unknown, RegExp])[] = [
    ["of another issuer", { issuer: "https://evil.example" }, /another issuer/],
    [
      "over http",
      { issuer: settings.issuer, introspection_endpoint: "http://idp.example" },
      /introspection_endpoint that is HTTPS/,
    ],
  ];
  for (const [what, metadata, why] of bad) {
    test(`where the discovery document names an endpoint ${what}`, async () => {
      const { introspection, asked, events, state } = underTest();
      state.metadata = async () => metadata;
      assert.equal(await introspection.of("secret"), undefined);
      assert.equal(asked.length, 0, "the token was sent");
      assert.match(String(events[0]), why);
    });
  }

  test("where what comes back is no JSON object", async () => {
    for (const answer of ["<html>", "null", "[]", '"active"']) {
      const { introspection, state } = underTest();
      state.answer = async () => answer;
      assert.equal(await introspection.of("secret"), undefined);
    }
  });

  test("where what comes back is too long, or too deep to be told", async () => {
    const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    for (const [answer, why] of [
      [`{"active":true,"x":"${"x".repeat(16_384)}"}`, /too long/],
      [`{"active":true,"x":${deep(64)}}`, /too deep/],
      [`{"active":true,"x":${deep(8_000)}}`, /too deep/],
    ] as const) {
      const { introspection, events, state } = underTest();
      state.answer = async () => answer;
      assert.equal(await introspection.of("secret"), undefined);
      assert.match(String(events[0]), why);
    }
    const { introspection, state } = underTest();
    state.answer = async () => `{"active":true,"x":${deep(63)}}`;
    assert.ok(JSON.stringify(await introspection.of("secret")).includes(deep(63)));
  });

  test("where the file of the issuer's CA holds none", async () => {
    const { introspection, asked, events, state } = underTest();
    state.issuer = { ...settings, caFile: "idp.pem" };
    assert.equal(await introspection.of("secret"), undefined);
    assert.equal(asked.length, 0);
    assert.deepEqual(events, ["issuer-unavailable: idp.pem holds no certificate in PEM"]);
  });

  test("while its issuer is away, which is one event and is asked anew each time", async () => {
    const { introspection, asked, events, state } = underTest();
    state.answer = async () => {
      throw new IssuerUnavailable("it did not answer in time");
    };
    for (let i = 0; i < 3; i += 1) assert.equal(await introspection.of("secret"), undefined);
    assert.deepEqual(events, ["issuer-unavailable: it did not answer in time"]);
    assert.equal(asked.length, 3);
    state.answer = async () => ({ active: true });
    assert.deepEqual((await introspection.of("secret"))?.claims, { active: true });
    assert.equal(state.looked, 4, "its endpoint is looked up again after a failure");
    await introspection.of("another");
    assert.equal(state.looked, 4);
  });

  test("beyond 32 questions at once, so that a slow issuer holds nobody else up", async () => {
    const { introspection, asked, state } = underTest();
    await introspection.of("first"); // the endpoint is known
    let release = (): void => {};
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    state.answer = async () => {
      await slow;
      return { active: true };
    };
    const all = Array.from({ length: 40 }, (_, i) => introspection.of(`token ${i}`));
    const refused = await Promise.race([all[39], slow]);
    assert.equal(refused, undefined);
    release();
    const answered = (await Promise.all(all)).filter((one) => one !== undefined);
    assert.equal(answered.length, 32);
    assert.equal(asked.length, 33);
  });
});

test("nothing of one issuer meets the next one: its endpoint, its secret, and what was asked of it", async () => {
  const { introspection, asked, state } = underTest();
  const { metadata } = state;
  let release = (): void => {};
  const slow = new Promise<void>((resolve) => {
    release = resolve;
  });
  state.metadata = async () => {
    await slow;
    return metadata();
  };
  const former = introspection.of("secret");
  Object.assign(state, { issuer: other, secret: "secret of the other" });
  await introspection.of("secret");
  release();
  await former;
  await introspection.of("later");
  const said = asked.map(({ url, authorization }) => [url, atob(authorization?.slice(6) ?? "")]);
  assert.deepEqual(said, [
    ["https://other.example/ask", "a+client:secret+of+the+other"],
    ["https://idp.example/introspect", "a+client:secret+of+one"],
    ["https://other.example/ask", "a+client:secret+of+the+other"],
  ]);
});

describe("what an issuer said of a token", () => {
  test("was asked with its own client's secret, and the token in the body", async () => {
    const { introspection, asked } = underTest();
    await introspection.of("secret");
    const [question] = asked;
    assert.deepEqual(question?.form, { token: "secret", token_type_hint: "access_token" });
    assert.equal(question?.timeoutMs, 2_000, "a client waits for it");
    const [scheme, encoded = ""] = question?.authorization?.split(" ") ?? [];
    assert.equal(scheme, "Basic");
    assert.equal(atob(encoded), "a+client:secret+of+one");
  });

  test("is remembered for the seconds it may be, not beyond the token's end, and asked for once at a time", async () => {
    const { introspection, asked, state } = underTest();
    await Promise.all([introspection.of("secret"), introspection.of("secret")]);
    assert.equal(asked.length, 1);
    state.now += 9_999;
    await introspection.of("secret");
    assert.equal(asked.length, 1);
    state.now += 1;
    await introspection.of("secret");
    assert.equal(asked.length, 2);
    state.answer = async () => ({ active: true, exp: (state.now + 3_000) / 1000 });
    await introspection.of("short");
    state.now += 3_000;
    await introspection.of("short");
    assert.equal(asked.length, 4);
  });

  test("is forgotten when issuers.yaml says something else", async () => {
    const { introspection, asked, state } = underTest();
    await introspection.of("secret");
    state.issuer = { ...settings, audience: "other" };
    await introspection.of("secret");
    assert.equal(asked.length, 2);
  });
});
