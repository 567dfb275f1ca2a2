import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deployment, readyPorts, serveWords, start, wardmq } from "./wardmq.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const policy = `# Of the ICU.
roles:
  monitor:
    publish:
      - "{org}/{site}/{ward}/device/{id}/telemetry" # each its own
      - { filter: "{org}/{site}/{ward}/device/{id}/alarm", qos: 1, payloadBytes: 4096 }
  board:
    subscribe: ["{org}/+/+/device/+/telemetry"]
bindings:
  - { role: monitor, to: "device:*" }
  - { role: board, to: "service:board" } # by the door
deny:
  - { to: "service:*", subscribe: ["{org}/+/nicu/#"], reason: not for boards }
assert:
  - { id: no-commands, never: publish, on: ["+/+/+/device/+/command"] }
tests:
  - { subject: "service:board", with: { org: hospital-1 }, subscribe: "hospital-1/main/icu/device/+/telemetry", expect: Permit }
  - { subject: "service:board", with: { org: hospital-1 }, subscribe: "hospital-1/#", expect: Deny }
`;

let made: Awaited<ReturnType<typeof deployment>>;
let serving: ReturnType<typeof start>;
let api = 0;
const write = (text: string, name = "policy.yaml") =>
  writeFileSync(join(made.directory, name), text);
const run = (words: readonly string[]) => wardmq(["policy", ...words]);
const inDeployment = ([word = "", ...rest]: readonly string[]) =>
  run([word, made.directory, ...rest]);

before(async () => {
  made = await deployment();
  write(policy);
  serving = start(serveWords(made.directory), { limitMs: 600_000 });
  ({ api } = await readyPorts(serving));
});
after(async () => {
  await serving[Symbol.asyncDispose]();
  await made[Symbol.asyncDispose]();
});

async function says(words: readonly string[], expected: string, code = 0): Promise<void> {
  const ended = await inDeployment(words);
  assert.equal(ended.stdout, expected, ended.stderr);
  assert.equal(ended.code, code, ended.stderr);
}

describe("wardmq policy check", () => {
  test("ends with 2 and the place of a mistake", async () => {
    write(policy.replace("role: board,", "role: bord,"));
    const { code, stdout, stderr } = await inDeployment(["check"]);
    write(policy);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.equal(
      stderr,
      'wardmq: policy.yaml:11:13: bindings[1].role: expected a role of this file, found "bord"; did you mean board?\n'.replaceAll(
        "policy.yaml",
        `${made.directory}/policy.yaml`,
      ),
    );
  });

  test("ends with 1 and a topic where an assertion does not hold", async () => {
    write(policy.replace("/alarm", "/command"));
    const { code, stderr } = await inDeployment(["check"]);
    write(policy);
    assert.equal(code, 1);
    assert.match(stderr, /policy\.yaml:6:9: .*no-commands/);
    assert.match(stderr, /\/device\/00000000-0000-4000-8000-000000000001\/command/);
  });

  test("ends with 0 and findings in words or as JSON, with place and severity", async () => {
    const grant = `grants: [{ role: board, to: "service:x", reason: y, approvedBy: z }]\n`;
    write(policy + grant);
    const words = await inDeployment(["check"]);
    const json = await inDeployment(["check", "--json"]);
    write(policy);
    assert.deepEqual([words.code, words.stdout], [0, "policy.yaml is valid, 1 finding\n"]);
    assert.match(words.stderr, /policy\.yaml:19:10: warning: grants\[0\]: has no end; write until/);
    const { findings } = JSON.parse(json.stdout);
    assert.deepEqual(
      findings.map((one: Record<string, unknown>) => [one["check"], one["severity"], one["line"]]),
      [["endless-grant", "warning", 19]],
    );
  });

  test("lists wildcards with what stands open by them", async () => {
    await says(
      ["check", "--wildcards"],
      `FILTER                        STANDS OPEN                           SEVERITY  RULE                WHERE
{org}/+/+/device/+/telemetry  every site, every ward, every device  notice    board/subscribe[0]  ${made.directory}/policy.yaml:8:17
`,
    );
  });

  test("finds nothing unused that is too new to tell, and refuses a time that is none", async () => {
    await says(["check", "--unused-for", "30d"], "policy.yaml is valid, 0 findings\n");
    const { code, stderr } = await inDeployment(["check", "--unused-for", "soon"]);
    assert.equal(code, 2);
    assert.match(stderr, /write a time such as 30s, 10m, 24h or 7d/);
  });
});

describe("wardmq policy explain", () => {
  const device = [`device:${uuid}`, "publish"];
  const attributes = ["org=hospital-1", "site=main", "ward=icu"].flatMap((one) => [
    "--attribute",
    one,
  ]);
  const at = (place: string) => `${made.directory}/policy.yaml:${place}`;

  test("names the rule that permits, with its place", async () => {
    const topic = `hospital-1/main/icu/device/${uuid}/alarm`;
    await says(
      ["explain", ...device, topic, ...attributes],
      `Permit: device:${uuid} publish ${topic}\n  by monitor/publish[1], ${at("6:9")}\n`,
    );
  });

  test("names what came close, and the smallest change, for what is denied", async () => {
    const topic = `hospital-1/main/icu/device/${uuid}/lifecycle`;
    const { code, stdout } = await inDeployment(["explain", ...device, topic, ...attributes]);
    assert.equal(code, 0);
    assert.deepEqual(stdout.split("\n").slice(0, 6), [
      `Deny: device:${uuid} publish ${topic}`,
      "  no rule applies",
      '  the nearest rule, monitor/publish[0] (line 5 of the policy), wants "telemetry" at level 6: use that or add a rule',
      "rules that came close:",
      `  monitor/publish[0], ${at("5:9")}: "{org}/{site}/{ward}/device/{id}/telemetry"`,
      '    level 6 wants "telemetry" and is "lifecycle"',
    ]);
    assert.match(stdout, /the smallest change that would allow it:\n {2}write "/);
  });

  test("refuses a subject, an action, an attribute and a claim that are none", async () => {
    for (const [words, message] of [
      [["nurse", "publish", "a"], /"nurse" names no subject; write device:UUID/],
      [["service:board", "send", "a"], /"send" is no action; write publish or subscribe/],
      [["person:idp_a", "publish", "a", "--attribute", "ward=a/b"], /"ward=a\/b" is no attribute/],
      [["person:idp_a", "publish", "a", "--claim", "groups"], /"groups" is no claim/],
      [["app:idp_a", "publish", "a", "--attribute", "org=other"], /with a token is of hospital-1/],
      [["service:board", "publish", "a", "--claim", "a=b"], /a service has no token/],
    ] as const) {
      const { code, stderr } = await inDeployment(["explain", ...words]);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });

  test("denies what no client can ask for, and what no rule could say, without an edit that fails", async () => {
    for (const [action, asked, shown] of [
      ["publish", "a/+/b", "a/+/b"],
      ["subscribe", "a/#/b", "a/#/b"],
    ] as const) {
      const { code, stdout } = await inDeployment([
        "explain",
        `device:${uuid}`,
        action,
        asked,
        ...attributes,
      ]);
      assert.deepEqual(
        [code, stdout],
        [
          0,
          `Deny: device:${uuid} ${action} ${shown}\n  no rule applies\n  this is no topic name or topic filter\n`,
        ],
      );
    }
    const odd = await inDeployment([
      "explain",
      `device:${uuid}`,
      "subscribe",
      "a/\u{1b}[31m",
      ...attributes,
    ]);
    assert.deepEqual([odd.code, odd.stderr, odd.stdout.includes("\u{1b}")], [0, "", false]);
    const long = await inDeployment(["explain", ...device, "x".repeat(3000), ...attributes]);
    assert.deepEqual([long.code, long.stderr], [0, ""]);
    assert.match(long.stdout, /^Deny: [^\n]{300,500}…\n/);
  });

  test("takes the claims of a token and the deployment's organisation, and says which role needs more", async () => {
    const claims = `claims:
  - { issuer: idp, claim: groups, value: nurses, role: board }
  - { issuer: idp, claim: groups, value: nurses, role: chief }
`;
    write(
      `${policy.replace("bindings:", "  chief: { requires: { amr: [mfa] } }\nbindings:")}${claims}`,
    );
    const words = [
      "explain",
      "person:idp_ann",
      "subscribe",
      "hospital-1/main/icu/device/+/telemetry",
    ];
    const { stdout } = await inDeployment([...words, "--claim", "groups=nurses"]);
    const unnamed = await inDeployment(words);
    const rights = ["--attribute", "org=hospital-1"];
    const what = await inDeployment(["what", "can", "person:idp_ann", "do", ...rights]);
    write(policy);
    const remark = /the roles of a token come from its claims, .* --claim .* --attribute/;
    assert.match(unnamed.stdout, /^Deny: .*\n {2}no rule applies\n/);
    assert.match(unnamed.stdout, remark);
    assert.match(what.stdout, remark);
    assert.doesNotMatch(stdout, remark);
    assert.deepEqual(stdout.split("\n").slice(1, 4), [
      `  by board/subscribe[0], ${at("8:17")}`,
      "  the claims give the role board",
      "  the claims give the role chief, but it needs amr mfa",
    ]);
  });
});

describe("wardmq policy who and what", () => {
  test("tell everybody who can, and nobody where nobody can", async () => {
    const { code, stdout } = await inDeployment([
      "who",
      "can",
      "publish",
      "hospital-1/+/+/device/+/alarm",
    ]);
    assert.equal(code, 0);
    const [header = "", row = "", ...rest] = stdout.trimEnd().split("\n");
    assert.deepEqual(header.split(/ {2,}/), [
      "WHO",
      "FILTER",
      "RULE",
      "WHERE",
      "WHEN",
      "FOR EXAMPLE",
    ]);
    assert.deepEqual(row.split(/ {2,}/).slice(0, 5), [
      "device:*",
      "{org}/{site}/{ward}/device/{id}/alarm",
      "monitor/publish[1]",
      `${made.directory}/policy.yaml:6:9`,
      "always",
    ]);
    assert.deepEqual(rest, []);
    await says(["who", "can", "publish", "hospital-1/+/+/device/+/command"], "nobody\n");
  });

  test("refuse what is no topic filter, and words that stand in the wrong place", async () => {
    for (const [words, message] of [
      [
        ["who", "can", "publish", "#/a"],
        /"#\/a" is no topic filter: expected "#" to be a whole level/,
      ],
      [["who", "can", "subscribe", ""], /"" is no topic filter: .*; write a filter/],
      [["who", "could", "publish", "#"], /"could" stands where the word can belongs; write can/],
      [["what", "can", "service:board", "fly"], /"fly" stands where the word do belongs; write do/],
    ] as const) {
      const { code, stderr } = await inDeployment(words);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    }
  });

  test("tell everything that a subject can do, and what it never can", async () => {
    const added = await wardmq(["service", "add", made.directory, "board"]);
    assert.equal(added.code, 0, added.stderr);
    const { stdout } = await inDeployment(["what", "can", "service:board", "do"]);
    assert.deepEqual(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
      [
        ["MAY", "FILTER", "TERMS", "RULE", "WHERE", "WHEN"],
        [
          "subscribe",
          "hospital-1/+/+/device/+/telemetry",
          "QoS 2",
          "board/subscribe[0]",
          `${made.directory}/policy.yaml:8:17`,
          "always",
        ],
        ["never subscribe {org}/+/nicu/# (deny[0]/subscribe[0])"],
      ],
    );
  });
});

describe("wardmq policy test", () => {
  test("passes, and ends with 1 and the place of a test that fails", async () => {
    const passed = await inDeployment(["test"]);
    assert.deepEqual(
      [passed.code, passed.stdout.trimEnd().split("\n").at(-1)],
      [0, "2 passed, 0 failed"],
    );
    write(policy.replace('"hospital-1/#", expect: Deny', '"hospital-1/#", expect: Permit'));
    const failed = await inDeployment(["test"]);
    write(policy);
    assert.equal(failed.code, 1);
    assert.match(
      failed.stdout,
      /policy\.yaml:18:5: service:board subscribe hospital-1\/#: failed: expected Permit, it is Deny/,
    );
    assert.match(failed.stderr, /1 test failed/);
  });
});

describe("wardmq policy apply, versions and rollback", () => {
  const reason = ["--reason", "a test"];
  const versions = async (): Promise<number> => {
    const { stdout } = await inDeployment(["versions", "--json"]);
    return JSON.parse(stdout)[0].version;
  };

  test("change nothing where nobody can be asked, or where an assertion does not hold", async () => {
    const before = await versions();
    write(policy.replace("qos: 1,", "qos: 0,"));
    const asked = await inDeployment(["apply", ...reason]);
    assert.deepEqual([asked.code, await versions()], [2, before]);
    assert.match(asked.stdout, /^in force: version 1; /);
    assert.match(asked.stderr, /nobody can be asked here; add --yes/);
    write(policy.replace("/alarm", "/command"));
    const broken = await inDeployment(["apply", ...reason, "--yes"]);
    write(policy);
    assert.deepEqual([broken.code, await versions()], [1, before]);
    assert.match(broken.stderr, /no-commands/);
  });

  test("show the difference, take it over, and take it back", async () => {
    write(policy.replace(", payloadBytes: 4096", "").replace("assert:", "assert: # all"));
    const { code, stdout } = await inDeployment(["apply", ...reason, "--yes"]);
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^in force: version 1; device:\* gains publish .*alarm \(longer payloads\), by monitor\/publish\[1\] \(line 6\).*\nversion 2 is in force\n$/,
    );
    for (const [version, message] of [
      ["x", /VERSION is no number/],
      ["9", /there is no version 9/],
    ] as const) {
      const { code: refused, stderr } = await inDeployment([
        "rollback",
        version,
        ...reason,
        "--yes",
      ]);
      assert.ok(refused === 1 || refused === 2);
      assert.match(stderr, message);
    }
    const asked = await inDeployment(["rollback", "1", ...reason]);
    assert.deepEqual([asked.code, await versions()], [2, 2]);
    assert.match(
      asked.stdout,
      /^in force: version 2; device:\* loses publish .*\(longer payloads\)/,
    );
    assert.match(asked.stderr, /nobody can be asked here; add --yes/);
    const back = await inDeployment(["rollback", "1", ...reason, "--yes"]);
    assert.equal(back.code, 0, back.stderr);
    assert.match(
      back.stdout,
      /^in force: version 2; device:\* loses .*\nversion 3 is in force, with the files of version 1\n$/,
    );
    assert.equal(readFileSync(join(made.directory, "policy.yaml"), "utf8"), policy);
  });

  test("write grants and bindings into the file, and leave the rest as it is", async () => {
    const add = ["add", made.directory, "board", "service:acme", "--until", "2099-12-01T16:00:00Z"];
    const { code, stdout } = await run([
      "grant",
      ...add,
      "--approved-by",
      "ann",
      ...reason,
      "--yes",
    ]);
    assert.equal(code, 0);
    const line = `  - { role: board, to: "service:acme", until: "2099-12-01T16:00:00Z", reason: "a test", approvedBy: "ann" }`;
    const [where, ...shown] = stdout.split("\n");
    assert.deepEqual([where, ...shown.slice(0, 2)], ["policy.yaml:19", "+ grants:", `+ ${line}`]);
    assert.match(
      shown[2] ?? "",
      /^in force: version \d+; grants: now board to service:acme, until 2099-12-01T16:00:00Z \(line 20\)$/,
    );
    const text = () => readFileSync(join(made.directory, "policy.yaml"), "utf8");
    assert.equal(text(), `${policy}grants:\n${line}\n`);
    const end = await run([
      "grant",
      "end",
      made.directory,
      "board",
      "service:acme",
      ...reason,
      "--yes",
    ]);
    assert.equal(end.code, 0, end.stderr);
    assert.match(text(), /until: "20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", reason/);
    assert.doesNotMatch(text(), /2099/);
    const again = await run([
      "grant",
      "end",
      made.directory,
      "board",
      "service:acme",
      ...reason,
      "--yes",
    ]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /no such grant that has not ended: board to service:acme/);
    const unbound = await inDeployment(["unbind", "board", "service:board", ...reason, "--yes"]);
    assert.equal(unbound.code, 0, unbound.stderr);
    assert.doesNotMatch(text(), /by the door/);
    const unknown = await inDeployment(["bind", "bord", "service:board", ...reason, "--yes"]);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /did you mean board/);
    const bound = await inDeployment(["bind", "board", "service:board", ...reason, "--yes"]);
    assert.equal(bound.code, 0, bound.stderr);
  });
});

describe("the policy over HTTPS", () => {
  let remote: readonly string[];
  before(async () => {
    const added = await wardmq([
      "operator",
      "add",
      made.directory,
      "alice",
      "--role",
      "security-officer",
    ]);
    assert.equal(added.code, 0, added.stderr);
    const out = join(made.parent, "alice");
    const credential = ["credential", made.directory, "operator:alice", "--out", out];
    assert.equal((await wardmq(credential)).code, 0);
    remote = ["--url", `https://localhost:${api}`, "--credential", out];
  });
  const at = (words: readonly string[]) => run([...words, ...remote]);

  test("is listed, and tried beside the one in force", async () => {
    const listed = await at(["versions", "--json"]);
    assert.equal(listed.code, 0, listed.stderr);
    const next = join(made.parent, "next.yaml");
    writeFileSync(next, `${policy.replace("qos: 1,", "qos: 2,")}phi: { mode: warn }\n`);
    const given = ["--from", next, "--reason", "a test"];
    const tried = await at(["apply", ...given, "--shadow", "1h"]);
    assert.equal(tried.code, 0, tried.stderr);
    const untried = /\nnot tried, for a trial compares decisions only:\n {2}phi\.mode: now warn\n/;
    assert.match(tried.stdout, untried);
    assert.match(tried.stdout, /on trial until 20/);
    const shown = await at(["shadow"]);
    assert.match(shown.stdout, /^the trial runs until .* by operator:alice: a test\)\n0 decisions/);
    assert.match(shown.stdout, untried);
    assert.equal((await at(["shadow", "--end"])).code, 0);
    const twice = await at(["shadow", "--end"]);
    assert.deepEqual([twice.code, /no policy is on trial/.test(twice.stderr)], [1, true]);
  });

  test("is applied with the files that are sent, once a second person has agreed", async () => {
    const missing = await at(["apply", "--reason", "x", "--yes"]);
    assert.deepEqual([missing.code, /--from is missing/.test(missing.stderr)], [2, true]);
    const next = join(made.parent, "next.yaml");
    const text = policy.replace("# Of the ICU.", "# Of the ICU and more.").replace("4096", "8192");
    writeFileSync(next, text);
    const waits = await at(["apply", "--from", next, "--reason", "x", "--yes"]);
    assert.equal(waits.code, 1);
    const [, id = ""] = /waits for a second person as (\S+);/.exec(waits.stderr) ?? [];
    const approved = await wardmq(["approvals", "approve", made.directory, id]);
    assert.equal(approved.code, 0, approved.stderr);
    assert.equal(readFileSync(join(made.directory, "policy.yaml"), "utf8"), text);
    const bind = ["bind", "board", "service:second", "--reason", "x", "--yes"];
    const edited = await at(bind);
    assert.equal(edited.code, 1);
    assert.match(edited.stdout, /\+ {3}- \{ role: board, to: "service:second" \}/);
    assert.match(edited.stderr, /waits for a second person/);
  });
});
