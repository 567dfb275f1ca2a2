import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { selfSigned } from "../../idp/src/certificate.ts";
import { IdentityProvider } from "../src/login/identity-provider.ts";
import { wardmq } from "./wardmq.ts";

type Json = Readonly<Record<string, unknown>>;

/** A provider that says what a test wants; `undefined` is no answer at all. */
const { key, certificate: ca } = await selfSigned(Date.now());
let metadata: Json = {};
let tokenAnswers: (Json | undefined)[] = [];
let asked = 0;
const server = createServer({ key, cert: ca }, (request, response) => {
  const say = (status: number, body: Json) =>
    void response.writeHead(status).end(JSON.stringify(body));
  const codes = { device_code: "d", user_code: "u", verification_uri: "v", interval: 0.01 };
  if (request.url?.startsWith("/.well-known/")) return say(200, { issuer, ...metadata });
  if (request.url === "/device") return say(200, codes);
  asked += 1;
  const answer = tokenAnswers.shift();
  if (answer !== undefined) say("error" in answer ? 400 : 200, answer);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
const folder = mkdtempSync(join(tmpdir(), "wardmq-provider-"));
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});
const profile = {
  issuer,
  clientId: "c",
  audience: "a",
  broker: "wss://localhost:1/mqtt",
  issuerCa: ca,
};

beforeEach(() => {
  metadata = {
    authorization_endpoint: `${issuer}/auth`,
    device_authorization_endpoint: `${issuer}/device`,
    token_endpoint: `${issuer}/token`,
  };
  tokenAnswers = [{ access_token: "t" }];
  asked = 0;
});

describe("a login", () => {
  test("goes on whatever is asked for at its loopback address", async () => {
    const provider = await IdentityProvider.discover(profile);
    const { accessToken } = await provider.logInByBrowser(async (url) => {
      const { searchParams } = new URL(url);
      const { port } = new URL(searchParams.get("redirect_uri") ?? "");
      const state = searchParams.get("state");
      for (const [path, status] of [
        ["//", 404],
        [`/callback?code=c&state=${state}`, 200],
      ] as const)
        assert.equal(await statusOf(Number(port), path), status, path);
    });
    assert.equal(accessToken, "t");
  });

  test("ends at once where the provider has no page for it", async () => {
    writeFileSync(join(folder, "idp.pem"), ca);
    const path = join(folder, "login.json");
    writeFileSync(path, JSON.stringify({ ...profile, issuerCa: "idp.pem" }));
    for (const authorization_endpoint of [undefined, "https://localhost:99999"]) {
      metadata = { ...metadata, authorization_endpoint };
      const { code, stderr } = await wardmq(["login", "--profile", path]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /^wardmq: the identity provider has no authorization_endpoint; ask its administrator for it\n$/,
      );
    }
  });

  test("on another machine outlasts an answer that does not come in time", async () => {
    tokenAnswers = [undefined, { error: "authorization_pending" }, { access_token: "t" }];
    const provider = await IdentityProvider.discover(profile, 500);
    assert.equal((await provider.logInByDevice(() => {})).accessToken, "t");
    assert.equal(asked, 3);
  });
});

function statusOf(port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ port, path, host: "127.0.0.1" }, (response) => resolve(response.resume().statusCode)).on(
      "error",
      reject,
    );
  });
}
