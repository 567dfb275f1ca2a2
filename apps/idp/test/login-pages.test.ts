import assert from "node:assert/strict";
import { after, describe, mock, test } from "node:test";
import { https, startTestProvider } from "../../../test/support/identity-provider.ts";

const warned = mock.method(console, "warn", () => {});
const provider = await startTestProvider();
after(() => provider[Symbol.asyncDispose]());
const { issuer, clientId, ca } = provider;

const ask = (at: string, rest: Parameters<typeof https>[2] = {}) =>
  https(new URL(at, issuer).href, ca, rest);

/** A login that has come to the page of the provider. */
async function begun(hint = "") {
  const cookies = new Map<string, string>();
  const query = new URLSearchParams({
    client_id: clientId,
    response_type: "code",
    redirect_uri: "http://127.0.0.1:49152/callback",
    scope: "openid",
    code_challenge: "a".repeat(43),
    code_challenge_method: "S256",
    ...(hint === "" ? {} : { login_hint: hint }),
  });
  const { location: at = "" } = await ask(`/auth?${query}`, { cookies });
  return { at, cookies };
}

describe("the pages of a login", () => {
  test("are for who has begun one, and take the form that they show", async () => {
    const { at, cookies } = await begun();
    assert.equal((await ask(at)).status, 400);
    for (const form of [{ prompt: "consent" }, { login: "nurse" }, { prompt: "x".repeat(20_000) }])
      assert.equal((await ask(at, { cookies, form })).status, 400);
    const form = { prompt: "login", login: "nurse", password: "any" };
    assert.equal((await ask(at, { cookies, form })).status, 303);
  });

  test("show what came with the request as text", async () => {
    const { at, cookies } = await begun(`"><script>`);
    const { body, status } = await ask(at, { cookies });
    assert.equal(status, 200);
    assert.match(body, /value="&#34;&#62;&#60;script&#62;"/);
  });

  test("lead back to the app with a refusal when the person cancels", async () => {
    const { at, cookies } = await begun();
    const { location: resumed = "" } = await ask(`${at}/abort`, { cookies });
    const { location = "" } = await ask(resumed, { cookies });
    const { origin, searchParams } = new URL(location);
    assert.equal(origin, "http://127.0.0.1:49152");
    assert.equal(searchParams.get("error"), "access_denied");
  });

  test("are ours, and so is what is remembered: the library warns of nothing", () =>
    assert.equal(warned.mock.callCount(), 0));
});
