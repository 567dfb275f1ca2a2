import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import type { Packet } from "@wardmq/mqtt";
import { type Deployment, startDeployment } from "../support/deployment.ts";
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

interface RefusingDisk {
  readonly mountAt: (state: string, aside: string) => void;
  /** It stops taking writes. */
  readonly fail: (state: string, aside: string) => void;
  /** It takes them again. */
  readonly mend: (state: string, aside: string, deployment: Deployment) => void | Promise<void>;
  /** What the event says of it. */
  readonly why: RegExp;
  /** The event that says that the broker keeps again. */
  readonly over: SecurityEvent["type"];
}

/** What the broker does on such a disk. */
async function withRefusingDisk({ mountAt, fail, mend, why, over }: RefusingDisk): Promise<void> {
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
    fail(state, aside);
    const payload = "x".repeat(400_000);
    let answer: Packet["type"] = "PUBACK"; // a page or two may still find a place
    for (let i = 0; i < 10 && answer === "PUBACK"; i += 1) {
      writer.sendPublish("kept", payload, { qos: 1 });
      answer = (await writer.next()).type;
    }
    assert.equal(answer, "DISCONNECT");
    const later = await open("later");
    assert.equal(await later.publish("kept", payload, { qos: 1 }), 0x97);
    await mend(state, aside, deployment);
    const last = await open("last");
    let code = 0x97;
    for (let i = 0; i < 100 && code === 0x97; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      code = await last.publish("kept", "last", { qos: 1 });
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
    const events = await eventsWithMore(deployment, over);
    assert.match(events.find(({ type }) => type === "store-failing")?.why ?? "", why);
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
  await withRefusingDisk({
    mountAt: (state) => assert.ok(mounts(state)),
    fail: (state) => fillFolder(state),
    mend: (state) => rmSync(join(state, "ballast")),
    why: /full/,
    over: "store-recovered",
  });
});

test("a disk with I/O errors refuses with 0x97, serves what it has, and goes on when it works again", {
  timeout: 120_000,
  skip: canMount ? false : needsRoot,
}, async () => {
  // A file system of 64 MiB on a device that has room for less: what does not fit is an I/O error.
  await withRefusingDisk({
    mountAt: (state, aside) => {
      assert.ok(mounts(aside));
      const image = join(aside, "image");
      run("truncate", "-s", "64M", image);
      run("mkfs.ext4", "-q", "-O", "^has_journal", image);
      run("mount", "-o", "loop,errors=continue", image, state);
    },
    fail: (_, aside) => fillFolder(aside),
    mend: (_, aside) => rmSync(join(aside, "ballast")),
    why: /I\/O error/,
    over: "store-recovered",
  });
});

/** The file of the kernel that has an ext4 file system take itself for damaged. */
function ext4Trigger(folder: string): string {
  const mount = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .find(([, at]) => at === folder);
  assert.match(mount?.[0] ?? "", /^\/dev\/loop\d+$/);
  return `/sys/fs/ext4/${basename(mount?.[0] ?? "")}/trigger_fs_error`;
}

const canBreakExt4 = (() => {
  try {
    accessSync("/sys/fs/ext4", constants.W_OK);
    return canMount;
  } catch {
    return false;
  }
})();

test("a disk that turns read-only refuses with 0x97, ends in order, and has all of it after a repair", {
  timeout: 120_000,
  skip: canBreakExt4
    ? false
    : "no ext4 file system can be made read-only here (it takes root and /sys)",
}, async () => {
  // Nobody can remount a file system read-only below open files; one that finds itself damaged does so.
  const image = (aside: string) => join(aside, "image");
  await withRefusingDisk({
    mountAt: (state, aside) => {
      run("truncate", "-s", "64M", image(aside));
      run("mkfs.ext4", "-q", image(aside));
      run("mount", "-o", "loop,errors=remount-ro", image(aside), state);
    },
    fail: (state) => writeFileSync(ext4Trigger(state), "1"),
    mend: async (state, aside, deployment) => {
      const { brokerProcess } = deployment;
      const ended = once(brokerProcess, "exit");
      brokerProcess.kill("SIGTERM");
      assert.deepEqual(await ended, [0, null]);
      run("umount", state);
      spawnSync("e2fsck", ["-fy", image(aside)]); // 1: it has mended something
      run("mount", "-o", "loop", image(aside), state);
      await deployment.startBroker();
    },
    why: /the file system is read-only/,
    over: "store-opened",
  });
});
