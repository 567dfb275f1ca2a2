import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { startDeployment } from "../../../test/support/deployment.ts";
import {
  apiAudience,
  audience,
  claimsText,
  enterCodeAt,
  issuersText,
  logInAt,
  startTestProvider,
} from "../../../test/support/identity-provider.ts";

const main = join(import.meta.dirname, "../src/main.ts");
const provider = await startTestProvider();
const deployment = await startDeployment({
  policy: `
topics: { schema: off }
roles:
  nurse: { publish: ["hospital/notes"], subscribe: ["hospital/notes"] }
  doctor: { requires: { amr: [mfa] }, subscribe: ["hospital/#"] }
  tester: { publish: ["#"], subscribe: ["#"] }
bindings:
  - { role: tester, to: "service:tester" }
${claimsText}`,
  devices: 0,
  services: ["tester"],
  files: {
    "issuers.yaml": issuersText(
      provider,
      "idp.pem",
      `    api: { audience: "${apiAudience}", roles: [{ role: viewer, claim: groups, value: nurses }] }\n`,
    ),
    "idp.pem": provider.ca,
  },
  settings: { "listeners.tokenWss.accept": "token" },
});
const folder = await mkdtemp(join(tmpdir(), "wardmq-login-"));
after(async () => {
  await deployment.stop();
  await provider[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
const profile = join(folder, "login.json");
writeFileSync(join(folder, "idp.pem"), provider.ca);
writeFileSync(join(folder, "broker.pem"), deployment.credential("tester").ca);
const kept = join(folder, "login.token.json");
const apiUrl = `https://localhost:${deployment.controlListener("api").port}`;
writeFileSync(
  profile,
  JSON.stringify({
    issuer: provider.issuer,
    clientId: provider.clientId,
    audience,
    broker: `wss://localhost:${deployment.listener("tokenWss").port}/mqtt`,
    issuerCa: "idp.pem",
    brokerCa: "broker.pem",
    api: { url: apiUrl, audience: apiAudience, ca: "broker.pem" },
  }),
);

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

function wardmq(...words: readonly string[]): Run {
  const child = spawn(process.execPath, [main, ...words], { stdio: ["pipe", "pipe", "pipe"] });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (part) => {
      text += part;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
  return { child, output: () => text, ended };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 600 && !holds(); i += 1) await new Promise((wake) => setTimeout(wake, 50));
  if (!holds()) throw new Error(`did not happen: ${what}`);
}

describe("a person at the command line", () => {
  test("is told to log in first", async () => {
    const run = wardmq("sub", "hospital/notes", "--profile", profile);
    assert.equal(await run.ended, 1);
    assert.match(run.output(), /nobody is logged in with this profile; run wardmq login/);
  });

  test("is not logged in by the code of another login, nor does a code help whoever has stolen it", async () => {
    const [first, second] = [
      wardmq("login", "--profile", profile),
      wardmq("login", "--profile", profile),
    ];
    await until("the addresses are printed", () =>
      [first, second].every((run) => /https:\/\/\S+/.test(run.output())),
    );
    const [ours, others] = [first, second].map(
      (run) => new URL(/https:\/\/\S+/.exec(run.output())?.[0] ?? ""),
    ) as [URL, URL];
    const callback = new URL(await logInAt(others.href, provider.ca, "doctor"));
    const code = callback.searchParams.get("code") ?? "";
    const redirect = others.searchParams.get("redirect_uri") ?? "";
    const verifier = randomBytes(32).toString("base64url");
    assert.equal(await provider.exchange(code, redirect, verifier), "invalid_grant");
    const elsewhere = new URL(others);
    elsewhere.searchParams.set("redirect_uri", "http://127.0.0.1:49152/another");
    await assert.rejects(logInAt(elsewhere.href, provider.ca, "doctor"));

    const mixed = new URL(ours.searchParams.get("redirect_uri") ?? "");
    mixed.search = String(
      new URLSearchParams({ code, state: ours.searchParams.get("state") ?? "" }),
    );
    assert.equal(await statusOf(mixed.href), 200);
    assert.equal(await first.ended, 1);
    assert.match(first.output(), /the identity provider refused: invalid_grant/);
    assert.ok(!existsSync(kept));
    second.child.kill("SIGTERM");
    await second.ended;
  });

  test("logs in through the browser; the token is in a file for the owner only, and nowhere printed", async () => {
    const run = wardmq("login", "--profile", profile);
    await until("the address is printed", () => /https:\/\/\S+/.test(run.output()));
    const [url = ""] = /https:\/\/\S+/.exec(run.output()) ?? [];
    const callback = await logInAt(url, provider.ca, "nurse");
    const wrong = callback.replace(/state=[^&]+/, "state=another");
    assert.equal(await statusOf(wrong), 404);
    assert.equal(await statusOf(callback), 200);
    assert.equal(await run.ended, 0, run.output());
    assert.match(run.output(), /logged in until/);
    assert.doesNotMatch(run.output(), /eyJ/);
    assert.equal(statSync(kept).mode & 0o777, 0o600);
  });

  test("reads and writes what the roles allow, and hears of what they do not", async () => {
    const reading = wardmq("sub", "hospital/notes", "--count", "1", "--profile", profile);
    const [writing, reaching] = [
      wardmq("pub", "hospital/other", "--profile", profile),
      wardmq("sub", "#", "--profile", profile),
    ];
    writing.child.stdin?.end("no");
    assert.equal(await writing.ended, 1);
    assert.match(
      writing.output(),
      /not allowed to publish to hospital\/other: Not authorized \(0x87\), "not allowed by the policy"; wardmq policy explain DIR SUBJECT publish 'hospital\/other' says why/,
    );
    assert.equal(await reaching.ended, 1);
    assert.match(
      reaching.output(),
      /not allowed to subscribe to #: Not authorized \(0x87\), .*; wardmq policy explain DIR SUBJECT subscribe '#'/,
    );
    // Nothing tells that a subscriber is there but what it gets.
    for (let tries = 0; tries < 10 && reading.output() === ""; tries += 1) {
      const again = wardmq("pub", "hospital/notes", "--profile", profile);
      again.child.stdin?.end("bed 4 is \u001b[31mfree");
      assert.equal(await again.ended, 0, again.output());
    }
    assert.equal(await reading.ended, 0, reading.output());
    assert.equal(reading.output(), "hospital/notes bed 4 is \\u{1b}[31mfree\n");
  });

  test("ends with who reads it", async () => {
    const reading = wardmq("sub", "hospital/notes", "--profile", profile);
    for (let tries = 0; tries < 20 && reading.child.exitCode === null; tries += 1) {
      const writing = wardmq("pub", "hospital/notes", "--profile", profile);
      writing.child.stdin?.end("x");
      await writing.ended;
      if (reading.output() !== "") reading.child.stdout?.destroy();
    }
    assert.equal(await reading.ended, 0, reading.output());
  });

  test("is told when a right to read has gone, and does not wait for nothing", async () => {
    const reading = wardmq("sub", "hospital/notes", "--profile", profile);
    for (let tries = 0; tries < 20 && reading.output() === ""; tries += 1) {
      const writing = wardmq("pub", "hospital/notes", "--profile", profile);
      writing.child.stdin?.end("x");
      await writing.ended;
    }
    assert.match(reading.output(), /^hospital\/notes x/);
    const file = join(deployment.directory, "policy.yaml");
    const policy = readFileSync(file, "utf8");
    writeFileSync(file, policy.replace(', subscribe: ["hospital/notes"]', ""));
    await deployment.command("reload", {});
    assert.equal(await reading.ended, 1);
    assert.match(reading.output(), /\nwardmq: the broker ended the connection: Not authorized/);
    assert.match(reading.output(), /\nwardmq: not allowed to subscribe to hospital\/notes: Not/);
    assert.doesNotMatch(reading.output(), /node_modules/);
    writeFileSync(file, policy);
    await deployment.command("reload", {});
  });
});

describe("a person whom the broker does not take in, or what it does not take", () => {
  const written = JSON.parse(readFileSync(profile, "utf8"));
  let others = 0;
  /** A profile beside the other that differs in this; with the token of the login, or another text in its place. */
  function otherProfile(changes: object, accessToken?: string): string {
    others += 1;
    const other = join(folder, `other-${others}`);
    mkdirSync(other);
    const files = { issuerCa: join(folder, "idp.pem"), brokerCa: join(folder, "broker.pem") };
    const api = { ...written.api, ca: files.brokerCa };
    const text = JSON.stringify({ ...written, ...files, api, ...changes });
    writeFileSync(join(other, "login.json"), text);
    const tokens = JSON.parse(readFileSync(kept, "utf8"));
    tokens.accessToken = accessToken ?? tokens.accessToken;
    if ("broker" in changes) tokens.login.broker = changes.broker;
    writeFileSync(join(other, "login.token.json"), JSON.stringify(tokens), { mode: 0o600 });
    return join(other, "login.json");
  }
  const { port } = deployment.listener("tokenWss");
  const rows = [
    [
      "that is not there",
      { broker: "wss://localhost:1/mqtt" },
      /nothing listens at localhost:1 \(/,
    ],
    ["of an unknown name", { broker: "wss://no.invalid/mqtt" }, /the host no\.invalid is unknown/],
    [
      "by another name than its certificate has",
      { broker: `wss://127.0.0.1:${port}/mqtt` },
      /the certificate of the broker is not for 127\.0\.0\.1/,
    ],
    ["of another CA", { brokerCa: join(folder, "idp.pem") }, /is not trusted .*; brokerCa in the/],
    [
      "where only certificates are taken",
      { broker: `wss://localhost:${deployment.wss.port}/mqtt` },
      /ended the connection before MQTT began .*listener for tokens/,
    ],
    [
      "at a path that is none",
      { broker: `wss://localhost:${port}/other` },
      /ended the connection before MQTT began; /,
    ],
  ] as const;

  test("hears what is wrong, and with which part", async () => {
    const runs = rows.map(([, changes]) => wardmq("sub", "x", "--profile", otherProfile(changes)));
    const refused = wardmq("sub", "x", "--profile", otherProfile({}, "x.y.z"));
    for (const [i, [what, , said]] of rows.entries()) {
      assert.equal(await runs[i]?.ended, 1, what);
      assert.match(runs[i]?.output() ?? "", said, what);
    }
    assert.equal(await refused.ended, 1);
    assert.match(
      refused.output(),
      /the broker refused the connection: Not authorized \(0x87\), "the token was refused"; run wardmq login again; wardmq token explain/,
    );
  });

  test("finds out with token explain and the file of the login, and nothing else", async () => {
    const words = ["token", "explain", deployment.directory, "--file"];
    const [good, bad] = [
      wardmq(...words, kept),
      wardmq(...words, join(otherProfile({}, "x.y.z"), "../login.token.json")),
    ];
    assert.equal(await good.ended, 0, good.output());
    assert.equal(await bad.ended, 1);
    assert.match(bad.output(), /FAIL structure {2}a first part that is none/);
    const early = wardmq(...words, kept, "--api");
    assert.equal(await early.ended, 2);
    assert.match(
      early.output(),
      /login\.token\.json has no token for the API yet; give a command with --url first/,
    );
  });

  test("hears that a message is too large, and does not send it for ever", async () => {
    const writing = wardmq("pub", "hospital/notes", "--profile", profile);
    writing.child.stdin?.end(Buffer.alloc(2_000_000));
    assert.equal(await writing.ended, 1);
    assert.match(
      writing.output(),
      /cannot publish to hospital\/notes: the broker ended the connection: Packet too large \(0x95\)/,
    );
  });

  test("is waited for, who writes slowly", async () => {
    const slowly = '(sleep 1; printf later) | "$0" "$@"';
    const words = [main, "pub", "hospital/notes", "--profile", profile];
    const child = spawn("sh", ["-c", slowly, process.execPath, ...words], { stdio: "pipe" });
    let said = "";
    child.stderr.on("data", (part) => (said += part));
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 0, said);
  });
});

describe("an operator at the command line", () => {
  test("gives commands to the API with the token of the login", async () => {
    const listing = wardmq("operator", "list", "--url", apiUrl, "--profile", profile);
    assert.equal(await listing.ended, 0, listing.output());
    assert.match(listing.output(), /no operators yet/);
    const { events } = await deployment.command("events", { last: 20 });
    const call = (events as { type: string; details?: Record<string, unknown> }[]).findLast(
      ({ type }) => type === "api-call",
    );
    assert.equal(call?.details?.["person"], "person:idp_nurse");
    const explain = ["token", "explain", deployment.directory, "--api", "--file", kept];
    const explained = wardmq(...explain);
    assert.equal(await explained.ended, 0, explained.output());
    assert.doesNotMatch(explained.output(), /eyJ/);
    const words = ["token", "revoke", "--subject", "person:idp_doctor"];
    const revoking = wardmq(...words, "--url", apiUrl, "--profile", profile);
    assert.equal(await revoking.ended, 1);
    assert.match(revoking.output(), /needs the role operator/);
  });

  test("sends a token to no other place than the profile names", async () => {
    const elsewhere = wardmq("bans", "--url", "https://localhost:1", "--profile", profile);
    assert.equal(await elsewhere.ended, 2);
    assert.match(elsewhere.output(), /the profile is not of the API/);
  });

  test("logs in on another machine by a code", async () => {
    const run = wardmq("login", "--device", "--profile", profile);
    await until("the code is printed", () => / and enter \S+/.test(run.output()));
    const [, url = "", code = ""] = /open (\S+) and enter (\S+)/.exec(run.output()) ?? [];
    await enterCodeAt(url, provider.ca, code, "doctor");
    assert.equal(await run.ended, 0, run.output());
    assert.doesNotMatch(run.output(), /eyJ/);
    const reading = wardmq("pub", "hospital/other", "--profile", profile);
    reading.child.stdin?.end("no");
    assert.equal(await reading.ended, 1);
    assert.match(reading.output(), /not allowed to publish/);
  });
});

function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
}
