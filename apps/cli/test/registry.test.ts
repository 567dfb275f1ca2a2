import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { wardmq } from "./wardmq.ts";

async function done(words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await wardmq(words);
  assert.equal(code, 0, stderr);
  return stdout;
}

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const other = "1b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const header = "id,org,site,ward,model,maker,serial,owner,tags\r\n";
const good = `${header}${uuid},h1,main,icu,m1,"Acme, Inc",SN 1,,a b\r\n${other},h1,main,er,,,,Biomed,\r\n`;

let folder: string;
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
before(() => {
  folder = mkdtempSync(join(tmpdir(), "wardmq-registry-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function newDeployment(name: string): Promise<string> {
  const directory = join(folder, name);
  await done(["init", directory, "--org", "h1", "--host", "localhost"]);
  return directory;
}

describe("devices in a file", () => {
  test("are refused by row and field, the valid ones taken; with --all-or-nothing and --dry-run none", async () => {
    const directory = await newDeployment("rows");
    const bad = `${good}x,,main,icu,,,,,\r\n,,main,w 1,,,,,\r\n${uuid},,main,icu,,,,,\r\n`;
    const path = file("bad.csv", bad);
    for (const [flag, says, left] of [
      ["--all-or-nothing", /registered 0 devices/, 0],
      ["--dry-run", /would register 2 devices/, 0],
      [undefined, /registered 2 devices/, 2],
    ] as const) {
      const words = ["device", "import", directory, path, ...(flag === undefined ? [] : [flag])];
      const { code, stdout } = await wardmq(words);
      assert.equal(code, 1);
      assert.match(stdout, /4 +id +is not a uuid/);
      assert.match(stdout, /5 +ward +has characters outside/);
      assert.match(stdout, /6 +id +stands in row 2 already/);
      assert.match(stdout, says);
      const listed = JSON.parse(await done(["list", directory, "--json"]));
      assert.equal(listed.length, left);
    }
  });

  test("are all refused by control where one of them is there already", async () => {
    const directory = await newDeployment("whole");
    await done(["device", "add", directory, "--site", "main", "--ward", "icu", "--id", other]);
    const words = ["device", "import", directory, file("whole.csv", good)];
    const { code, stdout } = await wardmq([...words, "--all-or-nothing"]);
    assert.equal(code, 1);
    assert.match(stdout, /3 +id +.*is already registered\nregistered 0 devices/);
    assert.equal(JSON.parse(await done(["list", directory, "--json"])).length, 1);
  });

  test("come out as they went in, in both forms", async () => {
    const first = await newDeployment("first");
    await done(["device", "import", first, file("good.csv", good)]);
    const csv = await done(["device", "export", first]);
    assert.equal(csv, good);
    const json = await done(["device", "export", first, "--format", "json"]);
    const second = await newDeployment("second");
    await done(["device", "import", second, file("good.json", json), "--all-or-nothing"]);
    assert.equal(await done(["device", "export", second]), good);
  });
});

describe("a record", () => {
  test("is changed, moved and taken out of use with a reason, and the history tells", async () => {
    const directory = await newDeployment("record");
    await done(["device", "import", directory, file("one.csv", good)]);
    const subject = `device:${uuid}`;
    const without = await wardmq(["quarantine", directory, subject]);
    assert.deepEqual([without.code, /--because/.test(without.stderr)], [2, true]);
    await done(["device", "move", directory, uuid, "--ward", "er", "--because", "new bed"]);
    await done([
      "device",
      "edit",
      directory,
      uuid,
      "--owner",
      "B",
      "--model",
      "",
      "--because",
      "x",
    ]);
    await done(["quarantine", directory, subject, "--because", "odd values"]);
    assert.match(await done(["list", directory, "--state", "quarantined"]), new RegExp(uuid));
    await done(["release", directory, subject, "--because", "checked"]);
    const again = await wardmq(["release", directory, subject, "--because", "again"]);
    assert.equal(again.code, 1);
    assert.match(again.stderr, /is registered: there is nothing to release/);
    await done(["retire", directory, subject, "--because", "sold"]);
    const history = JSON.parse(await done(["history", directory, subject, "--json"]));
    assert.deepEqual(
      history.map(({ action, reason }: { action: string; reason?: string }) => [action, reason]),
      [
        ["subject.add", undefined],
        ["subject.edit", "new bed"],
        ["subject.edit", "x"],
        ["subject.quarantine", "odd values"],
        ["subject.release", "checked"],
        ["subject.retire", "sold"],
      ],
    );
    assert.deepEqual(history[1].details.changed, { ward: ["icu", "er"] });
    assert.match(
      await done(["show", directory, subject]),
      /is retired\norg: h1\nsite: main\nward: er\n/,
    );
  });

  test("is one of many that a selection means, and one has to be named", async () => {
    const directory = await newDeployment("selection");
    await done(["device", "import", directory, file("many.csv", good)]);
    const nobody = await wardmq(["selection", "quarantine", directory, "--because", "x"]);
    assert.deepEqual([nobody.code, /nothing says who is meant/.test(nobody.stderr)], [2, true]);
    const said = await done([
      "selection",
      "quarantine",
      directory,
      "--ward",
      "er",
      "--because",
      "x",
    ]);
    assert.match(said, /put in quarantine: 1 subject\n/);
    const again = ["selection", "quarantine", directory, "--ward", "er", "--because", "x"];
    assert.match(await done(again), /^put in quarantine: nobody; none matches/);
    const odd = await wardmq([...again.slice(0, -1), "a\u{7}b"]);
    assert.deepEqual(
      [odd.code, /the argument because is wrong; expected why, .*such as "lost"/.test(odd.stderr)],
      [2, true],
      odd.stderr,
    );
    const left = JSON.parse(await done(["list", directory, "--state", "registered", "--json"]));
    assert.deepEqual(
      left.map(({ id }: { id: string }) => id),
      [`device:${uuid}`],
    );
  });
});
