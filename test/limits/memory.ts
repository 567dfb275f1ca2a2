import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import type { Attack } from "./attacks.ts";
import { Clients } from "./clients.ts";

const MB = 1024 * 1024;
/** What the broker may hold for its peers in these runs. */
const memoryBytes = 128 * MB;
/**
 * What the process may grow beyond that: topics and routes that are remembered, buffers of TLS, garbage that was not
 * collected yet. Both runtimes take their time with giving memory back.
 */
const spareMB = 600;

/** A deployment whose broker has little memory and a service that may do much. */
export function startWatched(): Promise<Deployment> {
  return startDeployment({
    devices: 1,
    settings: {
      "limits.memoryBytes": memoryBytes,
      "limits.queuedBytesTotal": 64 * MB,
      "limits.retainedBytes": 32 * MB,
      "limits.connectionsPerSubject.service": 600,
      "limits.subscriptions": 100,
      "limits.messagesPerSecond.service": 1_000_000,
    },
  });
}

/** The resident memory of a process, in MB, as Linux counts it. */
function residentMB(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/**
 * Runs an attack. The broker's memory stays in its bounds all the while, a device is served during it, and whoever
 * comes afterwards is, too.
 */
export async function survive(
  deployment: Deployment,
  attack: Attack,
  scale: number,
): Promise<{ readonly grownMB: number }> {
  const { brokerProcess } = deployment;
  const device = deployment.devices[0] ?? "";
  const bystanders = new Clients(deployment, 5, "mqtts");
  const alarm = `hospital/north/icu/device/${device}/alarm`;
  const before = residentMB(brokerProcess.pid);
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, residentMB(brokerProcess.pid));
  }, 50);
  const attackers = new Clients(deployment, 5, "mqtts");
  try {
    const monitor = await bystanders.connect({ as: device });
    const running = attack.run(attackers, scale);
    await monitor.publish(alarm, "during", { qos: 1 });
    await running;
    await monitor.publish(alarm, "after", { qos: 1 });
    await attackers.end();
    await monitor.disconnect();
  } finally {
    clearInterval(watch);
    await attackers.end();
    await bystanders.end();
  }
  assert.equal(brokerProcess.exitCode, null, "the broker has ended");
  const grownMB = Math.round(most - before);
  const allowed = memoryBytes / MB + spareMB;
  assert.ok(grownMB <= allowed, `the broker grew by ${grownMB} MB, ${allowed} MB are allowed`);
  return { grownMB };
}

/**
 * What as many connects and disconnects again may add: noise, since the runtimes collect when they like. Node's own TLS
 * keeps growing for some 10,000 connections, with no broker behind it too.
 */
const noiseMB = process.versions["bun"] === undefined ? 200 : 60;

/** Connects, subscribes, publishes and leaves `count` times, twice; the second half adds no memory. */
export async function returnsToBaseline(deployment: Deployment, count: number): Promise<void> {
  const { pid } = deployment.brokerProcess;
  const cycle = async () => {
    for (let i = 0; i < count; i += 10) {
      const clients = new Clients(deployment, 5, "mqtts");
      await Promise.all(Array.from({ length: 10 }, () => visit(clients)));
      await clients.end();
    }
  };
  await cycle();
  const before = residentMB(pid);
  await cycle();
  const grownMB = Math.round(residentMB(pid) - before);
  assert.ok(grownMB < noiseMB, `the broker grew by ${grownMB} MB in ${count} connections`);
}

async function visit(clients: Clients): Promise<void> {
  const client = await clients.connect();
  await client.subscribe(clients.topic("+/a"));
  await client.publish(clients.topic("b/a"), "x", { qos: 2 });
  await client.disconnect();
}
