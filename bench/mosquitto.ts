import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Deployment } from "./deployment.ts";
import { endProcess, type RunningBroker } from "./running-broker.ts";
import { serverKeyOf } from "./server-key.ts";
import { mosquittoProgram } from "./system-packages.ts";

/**
 * Mosquitto with what WardMQ never goes without: TLS 1.3 only, client certificates, an access list by identity. It gets
 * the same certificates, WardMQ's default bounds of queues, persistence only where messages are to be durable, and no log of connections.
 */
export async function serveMosquitto(
  folder: string,
  deployment: Deployment,
  isPersistent = false,
): Promise<RunningBroker> {
  const program = mosquittoProgram();
  if (program === undefined) throw new Error("mosquitto is not installed");
  mkdirSync(folder, { recursive: true });
  const port = await freePort();
  const configFile = join(folder, "mosquitto.conf");
  writeFiles(folder, configFile, port, deployment, isPersistent);
  const child = spawn(program, ["-c", configFile], { stdio: ["ignore", "ignore", "pipe"] });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    errors = (errors + chunk).slice(-4_096);
  });
  const deadline = Date.now() + 10_000;
  while (!(await accepts(port))) {
    if (child.exitCode !== null)
      throw new Error(`mosquitto ended with ${child.exitCode}: ${errors.trim()}`);
    if (Date.now() > deadline) {
      await endProcess(child);
      throw new Error(`mosquitto did not listen within 10 s: ${errors.trim()}`);
    }
    await delay(50);
  }
  if (child.pid === undefined) throw new Error("mosquitto did not start");
  return {
    port,
    pid: child.pid,
    command: ["mosquitto", "-c", configFile],
    stop: () => endProcess(child),
  };
}

function writeFiles(
  folder: string,
  configFile: string,
  port: number,
  deployment: Deployment,
  isPersistent: boolean,
): void {
  const { directory, service, topic, ward, wardFilter } = deployment;
  const caFile = join(folder, "ca.pem");
  const keyFile = join(folder, "server.key");
  writeFileSync(keyFile, serverKeyOf(directory), { mode: 0o600 });
  const aclFile = join(folder, "access.list");
  const authorities = ["issuing-ca.pem", "root-ca.pem"].map((name) =>
    readFileSync(join(directory, "control", name), "utf8"),
  );
  writeFileSync(caFile, authorities.join(""));
  writeFileSync(
    aclFile,
    [
      `user ${commonName(join(service, "cert.pem"))}`,
      ...["fanout", "pair/+", "in/+", "durable/+"].map(
        (below) => `topic readwrite ${topic}/${below}`,
      ),
      `topic read ${wardFilter}`,
      `pattern write ${ward}/device/%u/telemetry`,
      `pattern write ${ward}/device/%u/alarm`,
      `pattern read ${ward}/device/%u/command`,
      "",
    ].join("\n"),
  );
  const settings = {
    listener: `${port} 127.0.0.1`,
    cafile: caFile,
    certfile: join(directory, "broker", "server.pem"),
    keyfile: keyFile,
    tls_version: "tlsv1.3",
    require_certificate: true,
    use_identity_as_username: true,
    allow_anonymous: false,
    acl_file: aclFile,
    persistence: isPersistent,
    ...(isPersistent ? { persistence_location: `${folder}/` } : {}),
    max_inflight_messages: 256,
    max_queued_messages: 10_000,
    set_tcp_nodelay: true,
    log_type: "error",
    // As root it would become the user mosquitto, who may not read the server's key.
    ...(process.getuid?.() === 0 ? { user: "root" } : {}),
  };
  writeFileSync(
    configFile,
    Object.entries(settings)
      .map(([key, value]) => `${key} ${value}\n`)
      .join(""),
  );
}

/** Mosquitto's name of a client with a certificate. */
function commonName(certificateFile: string): string {
  const { subject } = new X509Certificate(readFileSync(certificateFile));
  const name = /^CN=(.+)$/m.exec(subject)?.[1];
  if (name === undefined)
    throw new Error(`${certificateFile} has no common name, which Mosquitto needs as user name`);
  return name;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        typeof address === "object" && address !== null
          ? resolve(address.port)
          : reject(new Error("no port")),
      );
    });
  });
}
