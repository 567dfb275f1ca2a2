import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import { startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { eventsWithMore } from "./broker-events.ts";

const needsRoot = "a small file system cannot be mounted here (it takes root)";
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

/** What the broker does on a disk that stops taking writes when `fill` is called, and takes them again after `empty`. */
async function withRefusingDisk(
  mountAt: (state: string, aside: string) => void,
  fill: (state: string, aside: string) => void,
  empty: (state: string, aside: string) => void,
): Promise<void> {
  const deployment = await startDeployment({ devices: 0 });
  const state = join(deployment.directory, "broker", "state");
  const aside = join(deployment.directory, "aside");
  const open = async (clientId: string, properties = {}) => {
    const socket = await openTls(deployment.mqtts, deployment.credential("tester"));
    const client = new RawClient(tlsWire(socket), 5);
    await client.connect({ clientId, cleanStart: false, properties });
    return client;
  };
  try {
    await deployment.killBroker();
    mkdirSync(aside);
    mountAt(state, aside);
    await deployment.startBroker();
    const reader = await open("reader", { sessionExpiryInterval: 1_000 });
    await reader.subscribe("kept", { qos: 1 });
    reader.wire.socket.destroy();
    const writer = await open("writer");
    assert.equal(await writer.publish("kept", "first", { qos: 1 }), 0);
    fill(state, aside);
    const payload = "x".repeat(400_000);
    let answer: Packet["type"] = "PUBACK"; // a page or two may still find a place
    for (let i = 0; i < 10 && answer === "PUBACK"; i += 1) {
      writer.sendPublish("kept", payload, { qos: 1 });
      answer = (await writer.next()).type;
    }
    assert.equal(answer, "DISCONNECT");
    const later = await open("later");
    assert.equal(await later.publish("kept", payload, { qos: 1 }), 0x97);
    empty(state, aside);
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
    const events = await eventsWithMore(deployment, "store-recovered");
    assert.match(events.find(({ type }) => type === "store-failing")?.why ?? "", /./);
  } finally {
    await deployment.stop().catch(() => {});
    for (const folder of [state, aside]) spawnSync("umount", [folder]);
    rmSync(deployment.directory, { recursive: true, force: true });
  }
}

/** As much as fits. */
function fillFolder(folder: string): void {
  writeFileSync(join(folder, "ballast"), Buffer.alloc(64));
  const filled = spawnSync("dd", ["if=/dev/zero", `of=${join(folder, "ballast")}`, "bs=64k"]);
  assert.notEqual(filled.status, 0, "the disk is full");
}

function run(command: string, ...words: readonly string[]): void {
  const { status, stderr } = spawnSync(command, words, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

test("a disk that is full refuses with 0x97, serves what it has, and goes on when there is room again", {
  timeout: 120_000,
  skip: canMount ? false : needsRoot,
}, async () => {
  await withRefusingDisk(
    (state) => assert.ok(mounts(state)),
    (state) => fillFolder(state),
    (state) => rmSync(join(state, "ballast")),
  );
});

test("a disk with I/O errors refuses with 0x97, serves what it has, and goes on when it works again", {
  timeout: 120_000,
  skip: canMount ? false : needsRoot,
}, async () => {
  // A file system of 64 MiB on a device that has room for less: what does not fit is an I/O error.
  await withRefusingDisk(
    (state, aside) => {
      assert.ok(mounts(aside));
      const image = join(aside, "image");
      run("truncate", "-s", "64M", image);
      run("mkfs.ext4", "-q", "-O", "^has_journal", image);
      run("mount", "-o", "loop,errors=continue", image, state);
    },
    (_, aside) => fillFolder(aside),
    (_, aside) => rmSync(join(aside, "ballast")),
  );
});
