import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deployment, type Running, readyPorts, serveWords, start, wardmq } from "./wardmq.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const csv = `id,site,ward,model,maker,serial,owner,tags\r\n${uuid},main,icu,m1,,,,a b\r\n`;

let served: Awaited<ReturnType<typeof deployment>>;
let running: Running;
let afar: readonly string[];

async function done(...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await wardmq(words);
  assert.equal(code, 0, stderr);
  return stdout;
}

before(async () => {
  served = await deployment();
  running = start(serveWords(served.directory), { limitMs: 600_000 });
  const { api } = await readyPorts(running);
  const { directory, parent } = served;
  const credentialOf = async (name: string, role: string) => {
    await done("operator", "add", directory, name, "--role", role);
    await done("credential", directory, `operator:${name}`, "--out", join(parent, name));
    return ["--url", `https://localhost:${api}`, "--credential", join(parent, name)];
  };
  afar = await credentialOf("alice", "operator");
  writeFileSync(join(parent, "devices.csv"), csv);
});
after(async () => {
  await running?.[Symbol.asyncDispose]();
  await served?.[Symbol.asyncDispose]();
});

describe("from afar", () => {
  test("a folder beside --url, and --credential without it, are refused", async () => {
    for (const words of [
      ["list", served.directory, ...afar],
      ["events", ...afar.slice(2)],
    ]) {
      const { code, stderr } = await wardmq(words);
      assert.equal(code, 2, stderr);
    }
  });

  test("devices are imported, listed and exported, and events read", async () => {
    const file = join(served.parent, "devices.csv");
    assert.match(await done("device", "import", file, ...afar), /registered 1 device/);
    const { code, stdout } = await wardmq(["device", "import", file, ...afar]);
    assert.deepEqual([code, /is already registered/.test(stdout)], [1, true]);
    const [listed, ...more] = JSON.parse(await done("list", ...afar, "--ward", "icu", "--json"));
    assert.deepEqual([listed.id, more], [`device:${uuid}`, []]);
    assert.equal(await done("list", ...afar), await done("list", served.directory));
    assert.equal(await done("device", "export", ...afar), csv);
    const events = (await done("events", ...afar, "--json")).trimEnd().split("\n");
    const types = events.map((line) => JSON.parse(line).type);
    assert.ok(types.includes("subject-added") && types.includes("api-call"), types.join());
  });
});
