import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { deployment, launcher, temporaryFolder, wardmq } from "./wardmq.ts";

describe("the command line refuses with exit code 2", () => {
  const refused: readonly (readonly [words: readonly string[], says: RegExp])[] = [
    [["lst"], /unknown command 'lst'/],
    [["list", "--no-such-option"], /unknown option '--no-such-option'/],
    [["list"], /DIR is missing; .*WARDMQ_DIR/],
    [["list", "a", "b"], /"b" is one word too many/],
    [["revoke", "/nowhere"], /is missing; expected DIR SUBJECT/],
    [["list", launcher], /is not a folder/],
    [["policy", "diff", "/nowhere", "/nowhere"], /cannot read \/nowhere: ENOENT; name a file/],
    [["list", "/nowhere"], /\/nowhere holds no deployment .*wardmq init/],
    [["serve", "/nowhere"], /\/nowhere holds no deployment/],
    [["policy", "check", "/nowhere"], /holds no deployment/],
    [["init", "/nowhere/x", "--org", "hospital-1"], /--host/],
    [["init", "/nowhere/x", "--host", "localhost"], /--org/],
    [["init", "/nowhere/x", "--org", "a b", "--host", "localhost"], /--org: "a b" is not a name/],
    [
      ["init", "/nowhere/x", "--org", "a", "--host", "10.0.0.1"],
      /--host: "10.0.0.1" is not a DNS name/,
    ],
    [
      ["init", "/nowhere/x", "--org", "a", "--host", "a", "--environment", "x/y"],
      /--environment: /,
    ],
    [["serve", "/nowhere", "--mqtts", "65536"], /--mqtts/],
    [["serve", "/nowhere", "--runtime", "deno"], /--runtime/],
    [["events", "/nowhere", "--last", "0"], /--last/],
    [["device", "add", "/nowhere", "--ward", "icu"], /--site/],
    [["credential", "/nowhere", "service:a"], /--out/],
  ];
  for (const [words, says] of refused) {
    test(words.join(" "), async () => {
      const { code, stdout, stderr } = await wardmq(words);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, says);
      assert.match(stderr, /^wardmq: /);
      assert.equal(existsSync("/nowhere"), false);
    });
  }

  test("nothing at all, with the help", async () => {
    const { code, stderr } = await wardmq([]);
    assert.equal(code, 2);
    assert.match(stderr, /Usage: wardmq/);
  });

  test("what it does not know, without printing it unescaped", async () => {
    for (const words of [
      ["\u001b[31mx"],
      ["list", "--\u202ex"],
      ["list", "/\u001b[31m"],
      ["list", "a", "\u0007"],
    ]) {
      const { code, stderr } = await wardmq(words);
      assert.equal(code, 2);
      assert.match(stderr, /^[\x20-\x7e\n]*$/);
    }
  });
});

describe("help", () => {
  const levels: readonly (readonly string[])[] = [
    [],
    ["init"],
    ["serve"],
    ["device"],
    ["device", "add"],
    ["device", "enroll"],
    ["service"],
    ["service", "add"],
    ["list"],
    ["revoke"],
    ["credential"],
    ["policy"],
    ["policy", "check"],
    ["events"],
    ["up"],
  ];
  for (const level of levels) {
    test(`of ${["wardmq", ...level].join(" ")} shows how to write it, with an example`, async () => {
      const { code, stdout } = await wardmq([...level, "--help"]);
      assert.equal(code, 0);
      assert.match(stdout, new RegExp(`^Usage: wardmq ${level.join(" ")}`));
      assert.match(stdout, /\nExamples:\n {2}(wardmq|kill)/);
      assert.doesNotMatch(stdout, /words/);
    });
  }

  test("names the exit codes", async () => {
    const { stdout } = await wardmq(["--help"]);
    assert.match(stdout, /0 done, 1 refused or failed, 2 wrong input or configuration/);
  });
});

describe("the launcher", () => {
  test("refuses to run with options of the runtime", async () => {
    const option = process.versions["bun"] === undefined ? "--tls-min-v1.0" : "--smol";
    const { code, stderr } = await wardmq(["--version"], { program: [option, launcher] });
    assert.equal(code, 2);
    assert.match(stderr, new RegExp(`leave out ${option}`));
  });

  test("hands words and the exit code over", async () => {
    const done = await wardmq(["--version"], { program: [launcher] });
    assert.deepEqual([done.code, done.stdout], [0, "0.1.0\n"]);
    const refused = await wardmq(["list"], { program: [launcher] });
    assert.equal(refused.code, 2);
  });

  test("takes no code and no variables from the current folder", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
    await writeFile(join(folder.path, "evil.ts"), 'console.log("preloaded");\n');
    await writeFile(
      join(folder.path, ".env"),
      "WARDMQ_DIR=/from-env-file\nNODE_OPTIONS=--no-warnings\n",
    );
    // Started by Node, as npx does; a Bun that starts it has read the folder's files before us.
    const { stdout, stderr } = await wardmq(["list"], {
      cwd: folder.path,
      program:
        process.versions["bun"] === undefined
          ? [launcher]
          : ["--no-env-file", "--config=/dev/null", mainOf(launcher)],
    });
    assert.equal(stdout, "");
    assert.match(stderr, /DIR is missing/);
  });

  const mainOf = (path: string) => join(path, "../../src/main.ts");
});

describe("policy check", () => {
  test("ends with 2 and names file, line and column of every problem", async () => {
    await using made = await deployment();
    const file = join(made.directory, "policy.yaml");
    await writeFile(
      file,
      "roles:\n  a:\n    pubish: []\nbindings:\n  - { role: b, to: everybody }\n",
    );
    const { code, stderr } = await wardmq(["policy", "check", made.directory]);
    assert.equal(code, 2);
    assert.match(stderr, /policy\.yaml:3:5: /);
    assert.match(stderr, /policy\.yaml:5:\d+: /);
  });

  test("ends with 0 and a warning where a role may do everything", async () => {
    await using made = await deployment();
    const text =
      'topics: { schema: off }\nroles:\n  a:\n    subscribe: ["#"]\nbindings:\n  - { role: a, to: "service:bridge" }\n';
    await writeFile(join(made.directory, "policy.yaml"), text);
    const { code, stdout, stderr } = await wardmq(["policy", "check", made.directory]);
    assert.equal(code, 0);
    assert.match(stderr, /policy\.yaml:4:\d+: warning: /);
    assert.match(stdout, /valid, [1-9]/);
    const asJson = await wardmq(["policy", "check", made.directory, "--json"]);
    const { findings } = JSON.parse(asJson.stdout) as {
      findings: { severity: string; line: number }[];
    };
    const places = findings.map(({ severity, line }) => `${severity} ${line}`);
    assert.deepEqual(places.slice(0, 2), ["warning 1", "warning 4"]);
  });

  test("ends with 0 and no warning for the policy that init writes", async () => {
    await using made = await deployment();
    const { code, stdout, stderr } = await wardmq(["policy", "check", made.directory]);
    assert.deepEqual([code, stdout, stderr], [0, "policy.yaml is valid, 0 findings\n", ""]);
  });

  test("ends with 2 for a file that is not UTF-8, not readable, or not there", async () => {
    await using made = await deployment();
    const file = join(made.directory, "policy.yaml");
    await writeFile(file, Buffer.from([0x72, 0xff, 0x0a]));
    assert.match((await wardmq(["policy", "check", made.directory])).stderr, /not UTF-8/);
    await rm(file);
    const { code, stderr } = await wardmq(["policy", "check", made.directory]);
    assert.equal(code, 2);
    assert.match(stderr, /cannot read .*policy\.yaml: ENOENT/);
  });
});

describe("init", () => {
  test("refuses a folder that is not empty and changes nothing in it", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "mine"), "");
    const { code, stderr } = await wardmq([
      "init",
      folder.path,
      "--org",
      "a",
      "--host",
      "localhost",
    ]);
    assert.notEqual(code, 0);
    assert.match(stderr, /not empty/);
    assert.deepEqual(await readdir(folder.path), ["mine"]);
  });

  test("refuses a folder it may not write to", async (t) => {
    if (process.getuid?.() === 0) return t.skip("root may write everywhere");
    await using folder = await temporaryFolder();
    await chmod(folder.path, 0o500);
    const { code } = await wardmq([
      "init",
      join(folder.path, "x"),
      "--org",
      "a",
      "--host",
      "localhost",
    ]);
    assert.notEqual(code, 0);
  });

  test("refuses a file", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "file");
    await writeFile(file, "mine");
    const { code, stderr } = await wardmq(["init", file, "--org", "a", "--host", "localhost"]);
    assert.equal(code, 2);
    assert.match(stderr, /is not a folder/);
  });

  test("makes a deployment in the current folder, which stays the current one", async () => {
    await using folder = await temporaryFolder();
    const cwd = folder.path;
    const { code, stderr } = await wardmq(["init", ".", "--org", "a", "--host", "localhost"], {
      cwd,
    });
    assert.equal(code, 0, stderr);
    const made = await readdir(cwd);
    assert.deepEqual(made.sort(), ["broker", "control", "policy.yaml", "run", "wardmq.yaml"]);
    assert.equal((await wardmq(["list", "."], { cwd })).code, 0);
  });

  test("takes an empty folder, and several hosts", async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, "empty");
    await mkdir(directory);
    const words = ["init", directory, "--org", "a", "--host", "b.example", "LOCALHOST", "--json"];
    const { code, stdout } = await wardmq(words);
    assert.equal(code, 0);
    const { trustDomain, hosts } = JSON.parse(stdout);
    assert.deepEqual([trustDomain, hosts], ["prod.a", ["b.example", "localhost"]]);
  });
});
