import assert from "node:assert/strict";
import { after, describe, mock, test } from "node:test";
import { https, startTestProvider } from "../../../test/support/identity-provider.ts";

const said = (["warn", "info"] as const).map((name) => mock.method(console, name, () => {}));
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

  test("say whose they are and load nothing, at the code of a device, a logout and an error too", async () => {
    const form = { client_id: clientId, scope: "openid" };
    const device = JSON.parse((await ask("/device/auth", { form })).body);
    const cookies = new Map<string, string>();
    const pages: string[] = [];
    const see = async (at: string, form?: Readonly<Record<string, string>>) => {
      const answer = await ask(at, { cookies, ...(form && { form }) });
      if (answer.location === undefined) pages.push(answer.body);
      return answer;
    };
    const enter = (more: object) =>
      see("/device", { xsrf: xsrfOf(pages.at(-1)), user_code: device.user_code, ...more });
    await see("/device");
    await enter({ user_code: "<NONE>" });
    await enter({});
    let { location = "" } = await enter({ confirm: "yes" });
    for (const prompt of ["login", "consent"]) {
      await see(location);
      ({ location = "" } = await see(location, { prompt, login: "nurse", password: "any" }));
      ({ location = "" } = await see(location));
    }
    assert.match(pages.at(-1) ?? "", /You are logged in there/);
    await see("/session/end");
    const out = await see("/session/end/confirm", { xsrf: xsrfOf(pages.at(-1)), logout: "yes" });
    await see(out.location ?? "");
    assert.match(pages.at(-1) ?? "", /You are logged out/);
    await see("/auth?client_id=<b>");
    assert.equal(pages.length, 9);
    for (const body of pages) {
      assert.match(body, /<h1>Demo identity provider<\/h1>/);
      assert.doesNotMatch(body.replaceAll(issuer, ""), /https?:|@import|<(script|link|img|b>)/);
    }
  });

  test("are ours, and so is what is remembered: the library warns of nothing", () => {
    for (const { mock } of said)
      assert.deepEqual(
        mock.calls.flatMap((call) => call.arguments),
        [],
      );
  });
});

const xsrfOf = (page = "") => /name="xsrf" value="([^"]+)"/.exec(page)?.[1] ?? "";
