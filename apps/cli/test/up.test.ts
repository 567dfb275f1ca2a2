import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connectLines, quote } from "../src/up/instructions.ts";
import { org, plannedDevices } from "../src/up/plan.ts";
import type { WardFile } from "../src/up/roster.ts";
import {
  deployment,
  eventually,
  type Running,
  runtime,
  start,
  temporaryFolder,
  wardmq,
} from "./wardmq.ts";

async function wardOf(directory: string): Promise<WardFile> {
  return JSON.parse(await readFile(join(directory, "demo/ward.json"), "utf8"));
}

/** The ward publishes and the dashboard reads: all devices are connected. */
function untilAllConnected(running: Running): Promise<true> {
  const all = `${plannedDevices.length} of ${plannedDevices.length} devices`;
  return eventually("every device is connected", () => {
    if (running.child.exitCode !== null) throw new Error(running.output().stderr);
    return running.output().stdout.includes(all) || undefined;
  });
}

describe("up", () => {
  test("refuses a folder that is no demo deployment, and leaves it", async () => {
    await using made = await deployment();
    const { code, stderr } = await wardmq(["up", made.directory]);
    assert.equal(code, 1);
    assert.match(stderr, /is not a demo deployment/);
    assert.equal(existsSync(join(made.directory, "demo")), false);
  });

  test("refuses under what weakens TLS, before it makes anything", async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, "demo");
    const environment = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };
    assert.equal((await wardmq(["up", directory], { environment })).code, 2);
    assert.equal(existsSync(directory), false);
  });

  test("makes a ward, runs it on free ports, tells how to connect, and ends with 0 on Ctrl-C", async (t) => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, "demo");
    const taken = await takePorts([8883, 8884]);
    const running = start(["up", directory, "--runtime", runtime]);
    try {
      await untilAllConnected(running);
      assert.match(
        running.output().stdout,
        /port 8883 is taken by another program; a free one is used/,
      );
      const { port, devices, connect } = await wardOf(directory);
      assert.notEqual(port, 8883);
      assert.deepEqual(
        devices.map(({ kind }) => kind),
        plannedDevices.map(({ kind }) => kind),
      );
      assert.equal((await readdir(join(directory, "demo/devices"))).length, 14);
      assert.ok(running.output().stdout.includes(connect[1] ?? "?"));
      const { stdout } = await start(["events", directory, "--last", "1000"]).ended;
      assert.match(stdout, /app:demo_dashboard/);
      const secret = (await wardOf(directory)).dashboard.login?.secret;
      assert.ok(secret !== undefined && !stdout.includes(secret));
      assert.ok(!JSON.stringify(running.output()).includes(secret), "the secret is in a file only");
      for (const command of connect.slice(1, 3)) {
        if (command.includes("mosquitto_sub") && !(await isInstalled("mosquitto_sub"))) {
          t.diagnostic("mosquitto_sub is not installed: its command is not tried");
        } else assert.match(await firstLineOf(command), new RegExp(`^${org}/main/.*/telemetry `));
      }
      running.child.kill("SIGINT");
      const { code, stderr } = await running.ended;
      assert.equal(code, 0, stderr);
    } finally {
      running.child.kill("SIGTERM");
      await running.ended;
      await taken();
    }
  });

  test("runs the ward it has made again, and completes what is missing of it", async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, "demo");
    const first = start(["up", directory, "--runtime", runtime]);
    await untilAllConnected(first);
    first.child.kill("SIGTERM");
    assert.equal((await first.ended).code, 0);
    const before = await wardOf(directory);
    const [device] = before.devices;
    assert.ok(device);
    await rm(join(directory, device.credential), { recursive: true });
    await writeFile(join(directory, "demo/dashboard/cert.pem"), "broken");
    const second = start(["up", directory, "--runtime", runtime]);
    await untilAllConnected(second);
    second.child.kill("SIGTERM");
    assert.equal((await second.ended).code, 0);
    const ids = (ward: WardFile) => ward.devices.map(({ id }) => id).sort();
    assert.deepEqual(ids(await wardOf(directory)), ids(before));
  });
});

describe("the commands to connect with", () => {
  test("hold words that a shell takes as they are", () => {
    assert.equal(quote("/srv/ward-1/key.pem"), "/srv/ward-1/key.pem");
    assert.equal(quote("it's $HOME"), "'it'\\''s $HOME'");
    assert.equal(quote(""), "''");
    assert.match(connectLines("/a folder", 1).join("\n"), /\(cd '\/a folder' && mosquitto_sub/);
  });

  test("are ASCII lines for a folder that is", () => {
    for (const line of connectLines("/srv/demo", 8883)) assert.match(line, /^[\x20-\x7e]+$/);
  });
});

/** Listens on those of the ports that are free, so that all of them are taken; gives how to let go. */
async function takePorts(ports: readonly number[]): Promise<() => Promise<void>> {
  const servers = await Promise.all(ports.map(listen));
  return async () => {
    for (const server of servers) server?.close();
  };
}

function listen(port: number) {
  const server = createServer();
  return new Promise<typeof server | undefined>((resolve) => {
    server.on("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const { port: taken } = server.address() as AddressInfo;
      resolve(taken === port ? server : undefined);
    });
  });
}

function isInstalled(program: string): Promise<boolean> {
  return new Promise((resolve) =>
    execFile("sh", ["-c", `command -v ${program}`], (error) => resolve(error === null)),
  );
}

/** The first line a command writes when it is pasted into a shell. */
function firstLineOf(command: string): Promise<string> {
  const options = { timeout: 30_000, killSignal: "SIGKILL" } as const;
  return new Promise((resolve, reject) => {
    const child = execFile(
      "sh",
      ["-c", `${command} | head -n 1`],
      options,
      (error, stdout, stderr) => {
        if (stdout === "") reject(error ?? new Error(stderr));
        else resolve(stdout);
      },
    );
    child.stdin?.end();
  });
}
