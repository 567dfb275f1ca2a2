import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import {
  apiAudience,
  audience,
  startTestProvider,
} from "../../../test/support/identity-provider.ts";
import { freshToken } from "../src/login/fresh-token.ts";
import { readProfile, tokensPath, writeTokens } from "../src/login/profile.ts";

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
});
