import { execFileSync } from "node:child_process";
import { generateKeyPairSync, randomBytes, randomUUID, sign } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeFeedMessage, partsOf, type SubjectRecord } from "@wardmq/feed";
import { newCertificateRequest } from "../test/support/certificate-request.ts";
import { type Credential, type Deployment, startDeployment } from "../test/support/deployment.ts";
import { RawClient } from "../test/support/raw-client.ts";
import { openTls, tlsWire } from "../test/support/wire.ts";

const devices = 100_000;
const liveConnections = 5_000;
const revocations = 100;

/** Prints what the registry and the feed cost: import, snapshot in a broker, and revocation beside live connections. */
export async function measureRegistry(
  folder: string,
  runtimes: Readonly<Record<string, string>>,
  print: (line: string) => void,
): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const [name, program] of Object.entries(runtimes)) {
    const { milliseconds, megabytes } = applySnapshot(folder, program);
    print(
      `feed on ${name}: a snapshot of ${devices} devices in ${Math.round(milliseconds)} ms, ${megabytes.toFixed(1)} MB (asked: 2000 ms, 60 MB)`,
    );
  }
  const deployment = await startDeployment({
    services: ["crowd"],
    devices: 0,
    settings: {
      "limits.connectionsPerSubject.service": liveConnections + 1,
      "limits.connectionsPerAddress": 2 * liveConnections,
    },
  });
  try {
    const perSecond = await importDevices(deployment);
    print(`import: ${devices} devices, ${Math.round(perSecond)}/s`);
    const { p50, p99 } = await revoke(deployment);
    print(
      `revoke to disconnect beside ${liveConnections} connections: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (asked: 250 ms)`,
    );
  } finally {
    await deployment.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function applySnapshot(
  folder: string,
  program: string,
): { milliseconds: number; megabytes: number } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const subjects: SubjectRecord[] = Array.from({ length: devices }, (_, i) => {
    const id = randomUUID();
    return {
      id: `device:${id}`,
      kind: "device",
      state: "active",
      attributes: { org: "clinic", site: "main", ward: `w${i % 40}`, model: "bsm-100", id },
      spiffeId: `spiffe://prod.clinic/device/${id}`,
      certificates: [
        { fingerprint: randomBytes(32).toString("hex"), notAfter: 2e12, state: "active" },
      ],
    };
  });
  const file = join(folder, "snapshot");
  const at = { lineage: "a", version: 1, issuedAt: 1 };
  const lines = partsOf(subjects).map((part, i) =>
    encodeFeedMessage({ type: "subjects", ...at, part: i, subjects: part }, (bytes) =>
      sign(null, bytes, privateKey),
    ),
  );
  writeFileSync(file, lines.join(""));
  const words = [join(import.meta.dirname, "feed-apply.ts"), file];
  const key = String(publicKey.export({ type: "spki", format: "pem" }));
  return JSON.parse(execFileSync(program, [...words, key], { encoding: "utf8" }));
}

async function importDevices({ command }: Deployment): Promise<number> {
  const startedAt = performance.now();
  for (let done = 0; done < devices; done += 1_000) {
    const rows = Array.from({ length: 1_000 }, (_, i) => ({
      site: "main",
      ward: `w${i % 40}`,
      model: "bsm-100",
      serial: `SN ${done + i}`,
    }));
    const { refused } = await command("device.import", { devices: rows, dryRun: false });
    if (refused.length > 0) throw new Error("the import refused a device");
  }
  return (devices / (performance.now() - startedAt)) * 1000;
}

async function revoke(deployment: Deployment): Promise<{ p50: number; p99: number }> {
  const crowd = deployment.credential("crowd");
  for (let open = 0; open < liveConnections; open += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => connected(deployment, crowd, `c${open + i}`)),
    );
  }
  const took: number[] = [];
  for (let i = 0; i < revocations; i++) {
    const { id } = await deployment.command("service.add", { name: `victim-${i}` });
    const { key, request } = await newCertificateRequest();
    const wanted = { subject: id, certificateRequest: request };
    const issued = await deployment.command("credential", wanted);
    const credential = { subject: id, key, cert: issued.certificateChain, ca: issued.trustAnchors };
    const socket = await connected(deployment, credential, "victim");
    const ended = once(socket, "close");
    const startedAt = performance.now();
    await Promise.all([deployment.command("revoke", { subject: id }), ended]);
    took.push(performance.now() - startedAt);
  }
  took.sort((one, other) => one - other);
  const at = (share: number) => took[Math.ceil(took.length * share) - 1] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

async function connected({ mqtts }: Deployment, credential: Credential, clientId: string) {
  const socket = await openTls(mqtts, credential);
  const { reasonCode } = await new RawClient(tlsWire(socket), 5).connect({ clientId });
  if (reasonCode !== 0) throw new Error(`a connection was refused with ${reasonCode}`);
  return socket;
}
