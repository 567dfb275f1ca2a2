import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const mounts = (folder: string) =>
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=12m", "tmpfs", folder]).status === 0;
const canMount = (() => {
  const folder = join(import.meta.dirname, "../../build", `mount-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const isMounted = mounts(folder);
  if (isMounted) spawnSync("umount", [folder]);
  rmSync(folder, { recursive: true });
  return isMounted;
})();

test("a disk that is full refuses with 0x97, serves what it has, and goes on when there is room again", {
  timeout: 120_000,
  skip: canMount ? false : "a small file system cannot be mounted here (it takes root)",
}, async () => {
  const deployment = await startDeployment({ devices: 0 });
  const state = join(deployment.directory, "broker", "state");
  const open = async (clientId: string, properties = {}) => {
    const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
    const client = new RawClient(tlsWire(socket), 5);
    await client.connect({ clientId, cleanStart: false, properties });
    return client;
  };
  try {
    await deployment.killBroker();
    assert.ok(mounts(state));
    await deployment.startBroker();
    const reader = await open("reader", { sessionExpiryInterval: 1_000 });
    await reader.subscribe("kept", { qos: 1 });
    reader.wire.socket.destroy();
    const writer = await open("writer");
    assert.equal(await writer.publish("kept", "first", { qos: 1 }), 0);
    writeFileSync(join(state, "ballast"), Buffer.alloc(64)); // then as much as fits
    const filled = spawnSync("dd", ["if=/dev/zero", `of=${join(state, "ballast")}`, "bs=64k"]);
    assert.notEqual(filled.status, 0, "the disk is full");
    const payload = "x".repeat(400_000);
    writer.sendPublish("kept", payload, { qos: 1 });
    await writer.expect("DISCONNECT");
    const later = await open("later");
    assert.equal(await later.publish("kept", payload, { qos: 1 }), 0x97);
    rmSync(join(state, "ballast"));
    let code = 0x97;
    for (let i = 0; i < 100 && code === 0x97; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      code = await later.publish("kept", "last", { qos: 1 });
    }
    assert.equal(code, 0);
    const again = await open("reader", { sessionExpiryInterval: 1_000 });
    const texts: string[] = [];
    while (texts.at(-1) !== "last") {
      const packet = await again.expect("PUBLISH");
      texts.push(Buffer.from(packet.payload).toString().slice(0, 5));
      again.send({ type: "PUBACK", packetId: packet.packetId ?? 0, reasonCode: 0, properties: {} });
    }
    assert.equal(texts[0], "first");
  } finally {
    await deployment.stop().catch(() => {});
    spawnSync("umount", [state]);
    rmSync(deployment.directory, { recursive: true, force: true });
  }
});
