import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  audience,
  enterCodeAt,
  logInAt,
  startTestProvider,
} from "../../../test/support/identity-provider.ts";

const main = join(import.meta.dirname, "../src/main.ts");
/** So short that each use of a login refreshes it. */
const provider = await startTestProvider({ lifeSeconds: 20 });
const folder = await mkdtemp(join(tmpdir(), "wardmq-secrets-"));
after(async () => {
  await provider[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
const profile = join(folder, "login.json");
const own = ["login.json", "ca.pem"];
writeFileSync(join(folder, "ca.pem"), provider.ca);
writeFileSync(
  profile,
  JSON.stringify({
    issuer: provider.issuer,
    clientId: provider.clientId,
    audience,
    broker: "wss://localhost:1/mqtt", // nobody is there: what is refreshed is looked at, not used
    issuerCa: "ca.pem",
    brokerCa: "ca.pem",
  }),
);

/** All that any of the commands has said. */
let said = "";

function wardmq(...words: readonly string[]) {
  const child = spawn(process.execPath, [main, ...words, "--profile", profile], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const run = { output: "", ended: new Promise<number | null>(() => {}) };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (part) => {
      run.output += part;
      said += part;
    });
  }
  run.ended = new Promise((resolve) => child.on("close", resolve));
  return run;
}

/** What a command says, which matches this. */
async function saying(run: { readonly output: string }, form: RegExp): Promise<RegExpExecArray> {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = form.exec(run.output);
    if (found !== null) return found;
    await new Promise((wake) => setTimeout(wake, 50));
  }
  throw new Error(`it said something else: ${run.output}`);
}

/** The file of the login, whatever its name is. */
function tokenFile(): string {
  const [name = ""] = readdirSync(folder).filter((one) => !own.includes(one));
  return join(folder, name);
}

function stored(): { readonly accessToken: string; readonly refreshToken: string } {
  return JSON.parse(readFileSync(tokenFile(), "utf8"));
}

const opened = (url: string) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });

test("what a login is made of is said by no command: code, access token and refresh token", async () => {
  const secrets: string[] = [];
  for (const isGood of [false, true]) {
    const run = wardmq("login");
    const [url] = await saying(run, /https:\/\/\S+/);
    const callback = new URL(await logInAt(url, provider.ca, "nurse"));
    const code = callback.searchParams.get("code") ?? "";
    const sent = isGood ? code : `${code.slice(0, -4)}AAAA`;
    secrets.push(sent);
    callback.searchParams.set("code", sent);
    await opened(callback.href);
    assert.equal(await run.ended, isGood ? 0 : 1, run.output);
  }
  const remember = () => secrets.push(stored().accessToken, stored().refreshToken);
  remember();
  await wardmq("sub", "x").ended;
  remember();

  const device = wardmq("login", "--device");
  const [, url = "", code = ""] = await saying(device, /open (\S+) and enter (\S+)/);
  await enterCodeAt(url, provider.ca, code, "nurse");
  assert.equal(await device.ended, 0, device.output);
  remember();

  assert.equal(new Set(secrets).size, 8, "each login and each refresh gave others");
  assert.match(said, /logged in until/);
  for (const secret of secrets) {
    assert.ok(secret.length > 20);
    assert.ok(!said.includes(secret), "a secret was said");
  }
});

test("a login that others can read is not used", async () => {
  assert.equal(statSync(tokenFile()).mode & 0o777, 0o600);
  for (const mode of [0o640, 0o604]) {
    chmodSync(tokenFile(), mode);
    const run = wardmq("sub", "x");
    assert.equal(await run.ended, 2, run.output);
    assert.match(run.output, /is open to others; chmod 600 it, and log in again/);
  }
});
