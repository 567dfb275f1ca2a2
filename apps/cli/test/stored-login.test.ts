import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import {
  apiAudience,
  audience,
  startTestProvider,
} from "../../../test/support/identity-provider.ts";
import { freshToken, tokensOf } from "../src/login/fresh-token.ts";
import { readProfile, tokensPath, writeTokens } from "../src/login/profile.ts";
import { wardmq } from "./wardmq.ts";

const provider = await startTestProvider();
const folder = mkdtempSync(join(tmpdir(), "wardmq-stored-"));
after(async () => {
  await provider[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});
writeFileSync(join(folder, "idp.pem"), `# the one of the test\n${provider.ca}`);
const written = {
  issuer: provider.issuer,
  clientId: provider.clientId,
  audience,
  broker: "wss://localhost:8885/mqtt",
  issuerCa: "idp.pem",
  api: { url: "https://localhost:9443", audience: apiAudience },
};
let profiles = 0;

/** A profile in the folder of all others that differs in this. */
function profileWith(changes: object = {}): string {
  profiles += 1;
  const path = join(folder, `hospital-${profiles}.json`);
  writeFileSync(path, JSON.stringify({ ...written, ...changes }));
  return path;
}

/** A profile with which somebody is logged in, whose token ends then. */
function loggedIn(expiresAt: number, refreshToken?: string): string {
  const path = profileWith();
  const tokens = { accessToken: "stored", expiresAt, ...(refreshToken && { refreshToken }) };
  writeTokens(path, readProfile(path), tokens);
  return path;
}

/** The names of a profile and what is kept beside it. */
const filesOf = (path: string) =>
  readdirSync(folder)
    .filter((name) => name.startsWith(basename(path, "json")))
    .sort();

const nobody = /^Failure: nobody is logged in with this profile$/;
const inAnHour = Date.now() + 3_600_000;

describe("what is kept of a login", () => {
  test("is for the profile it was made with, and no other in its folder", async () => {
    const path = loggedIn(inAnHour);
    assert.equal((await freshToken(path, "broker")).accessToken, "stored");
    await assert.rejects(freshToken(profileWith(), "broker"), nobody);
    for (const changes of [
      { issuer: "https://localhost:1" },
      { clientId: "another" },
      { audience: "urn:another" },
      { broker: "wss://localhost:1/mqtt" },
      { api: { ...written.api, url: "https://localhost:1" } },
      { api: { ...written.api, audience: "urn:another" } },
      { api: undefined },
    ]) {
      const other = profileWith(changes);
      copyFileSync(tokensPath(path), tokensPath(other));
      for (const place of ["broker", "api"] as const)
        await assert.rejects(freshToken(other, place), nobody, JSON.stringify(changes));
    }
    const same = profileWith();
    copyFileSync(tokensPath(path), tokensPath(same));
    assert.equal((await freshToken(same, "broker")).accessToken, "stored");
  });

  test("is not repeated where it is damaged", async () => {
    const path = loggedIn(inAnHour);
    for (const text of ["opaque", "", '{"accessToken":"opaq', "null", '{"accessToken":"opaque"}']) {
      writeFileSync(tokensPath(path), text);
      await assert.rejects(freshToken(path, "broker"), {
        name: "Failure",
        message: `${tokensPath(path)} is damaged`,
        hint: "run wardmq login",
      });
    }
  });
});

describe("a refresh token, which the provider takes once", () => {
  test("is used by one of those who want a token at once", async () => {
    const { refresh_token } = await provider.logIn("nurse");
    const path = loggedIn(Date.now(), refresh_token);
    const tokens = await Promise.all([1, 2, 3].map(() => freshToken(path, "broker")));
    assert.equal(new Set(tokens.map(({ accessToken }) => accessToken)).size, 1);
    assert.notEqual(tokens[0]?.accessToken, "stored");
    assert.deepEqual(filesOf(path), [basename(path), basename(tokensPath(path))]);
  });

  test("is used although another has died over it", async () => {
    const { refresh_token } = await provider.logIn("nurse");
    const path = loggedIn(Date.now(), refresh_token);
    const lock = `${tokensPath(path)}.lock`;
    writeFileSync(lock, "");
    const longAgo = Date.now() / 1000 - 60;
    utimesSync(lock, longAgo, longAgo);
    assert.notEqual((await freshToken(path, "broker")).accessToken, "stored");
  });

  test("brings a connection another token than it has, and the next one what is there", async () => {
    const { refresh_token } = await provider.logIn("nurse");
    const path = loggedIn(inAnHour, refresh_token);
    let isConnected = false;
    const [first, second] = [1, 2].map(() => tokensOf(path, () => isConnected));
    assert.ok(first && second);
    const textOf = async (next: typeof first) => (await next()).access_token;
    assert.deepEqual([await textOf(first), await textOf(second)], ["stored", "stored"]);
    const { expires_in: left = 0 } = await first();
    assert.ok(left > 3_500 && left <= 3_600, String(left));
    isConnected = true;
    const renewed = await textOf(first);
    assert.notEqual(renewed, "stored");
    assert.equal(await textOf(second), renewed); // another process has refreshed the login already
    isConnected = false;
    assert.equal(await textOf(first), renewed);
  });
});

describe("a profile", () => {
  test("is refused where no login could come of it", () => {
    writeFileSync(join(folder, "note.txt"), "no certificate");
    const begun = provider.ca.slice(0, 200);
    writeFileSync(join(folder, "cut.pem"), `${provider.ca}${begun}\n-----END CERTIFICATE-----\n`);
    const rows = [
      [{ broker: "wss://" }, /has a broker that is no wss URL$/],
      [{ broker: "wss://localhost:99999/" }, /has a broker that is no wss URL$/],
      [{ broker: "ws://localhost/" }, /has a broker that is no wss URL$/],
      [{ issuer: "https://localhost:99999" }, /has an issuer that is no https URL$/],
      [{ issuerCa: "none.pem" }, /^cannot read .*none\.pem: ENOENT$/],
      [{ brokerCa: "none.pem" }, /^cannot read .*none\.pem: ENOENT$/],
      [{ brokerCa: "note.txt" }, /note\.txt holds no certificate in PEM$/],
      [{ issuerCa: "cut.pem" }, /cut\.pem holds no certificate in PEM$/],
      [{ api: { ...written.api, ca: "note.txt" } }, /note\.txt holds no certificate in PEM$/],
    ] as const;
    for (const [changes, message] of rows) {
      const path = profileWith(changes);
      assert.throws(() => readProfile(path), { name: "Failure", exitCode: 2, message });
    }
    assert.ok(readProfile(profileWith()).issuerCa?.startsWith("-----BEGIN CERTIFICATE-----"));
  });

  test("is said to be where nothing can be kept, before anybody logs in", async () => {
    const path = join(folder, `${"x".repeat(240)}.json`);
    copyFileSync(profileWith(), path);
    const { code, stdout, stderr } = await wardmq(["login", "--profile", path]);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^wardmq: cannot write \S+: ENAMETOOLONG; keep the profile in a folder/);
  });

  test("is not asked for an API whose address is none", async () => {
    const words = ["operator", "list", "--url", "localhost:9443", "--profile", profileWith()];
    const { code, stderr } = await wardmq(words);
    assert.equal(code, 2);
    assert.match(stderr, /^wardmq: localhost:9443 is no https URL; write https:\/\/HOST:PORT\n$/);
  });
});
