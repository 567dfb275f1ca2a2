import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { done, servedDeployment, wardmq } from "./wardmq.ts";

const uuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";
const csv = `id,org,site,ward,model,maker,serial,owner,tags\r\n${uuid},hospital-1,main,icu,m1,,,,a b\r\n`;

const served = servedDeployment();
let afar: readonly string[];

describe("from afar", () => {
  before(async () => {
    const { directory, parent, ports } = served;
    const credentialOf = async (name: string, role: string) => {
      await done("operator", "add", directory, name, "--role", role);
      await done("credential", directory, `operator:${name}`, "--out", join(parent, name));
      return ["--url", `https://localhost:${ports.api}`, "--credential", join(parent, name)];
    };
    afar = await credentialOf("alice", "operator");
    writeFileSync(join(parent, "devices.csv"), csv);
  });

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
