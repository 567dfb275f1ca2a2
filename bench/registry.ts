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
/** A fleet that enrols: so many certificates, so many devices asking at a time. */
const certificates = 1_000;
const lanes = 8;
const revokedEntries = 100_000;

/** One thing that was measured, and what the project asks of it. */
export interface RegistryFigure {
  readonly figure: string;
  /** Absent where the deployment as a whole, on the runtime of the benchmark, was measured. */
  readonly runtime?: string;
  readonly value: number;
  readonly unit: "ms" | "MB" | "/s";
  readonly asked: string;
}

/**
 * Prints and gives what the registry, the CA and the feed cost: a snapshot in a broker, a large CRL, import, certificates,
 * and revocation beside live connections.
 */
export async function measureRegistry(
  folder: string,
  runtimes: Readonly<Record<string, string>>,
  print: (line: string) => void,
): Promise<readonly RegistryFigure[]> {
  const figures: RegistryFigure[] = [];
  mkdirSync(folder, { recursive: true });
  for (const [name, program] of Object.entries(runtimes)) {
    const { milliseconds, megabytes } = applySnapshot(folder, program);
    print(
      `feed on ${name}: a snapshot of ${devices} devices in ${Math.round(milliseconds)} ms, ${megabytes.toFixed(1)} MB (asked: 2000 ms, 60 MB)`,
    );
    figures.push(
      { figure: "snapshot", runtime: name, value: milliseconds, unit: "ms", asked: "at most 2000" },
      {
        figure: "snapshot memory",
        runtime: name,
        value: megabytes,
        unit: "MB",
        asked: "at most 60",
      },
    );
    const built = buildRevocationList(folder, program);
    print(
      `CRL on ${name}: ${revokedEntries} entries built, signed and written in ${Math.round(built)} ms (asked: 1000 ms)`,
    );
    figures.push({
      figure: "CRL build",
      runtime: name,
      value: built,
      unit: "ms",
      asked: "at most 1000",
    });
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
    figures.push({ figure: "import", value: perSecond, unit: "/s", asked: "at least 1700" });
    const issued = await issueCertificates(deployment);
    print(
      `certificates: ${certificates} through control, ${lanes} at a time, ${Math.round(issued)}/s (asked: 250/s)`,
    );
    figures.push({ figure: "certificates", value: issued, unit: "/s", asked: "at least 250" });
    const { p50, p99 } = await revoke(deployment);
    print(
      `revoke to disconnect beside ${liveConnections} connections: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms (asked: 250 ms)`,
    );
    figures.push(
      { figure: "revoke to disconnect p50", value: p50, unit: "ms", asked: "" },
      { figure: "revoke to disconnect p99", value: p99, unit: "ms", asked: "at most 250" },
    );
    return figures;
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

/** Milliseconds, the median of five. */
function buildRevocationList(folder: string, program: string): number {
  const words = [join(import.meta.dirname, "crl-build.ts"), `${revokedEntries}`];
  return JSON.parse(execFileSync(program, words, { cwd: folder, encoding: "utf8" })).milliseconds;
}

/** Certificates a second for devices that were imported; their keys and requests are made before. */
async function issueCertificates({ command }: Deployment): Promise<number> {
  const { subjects } = await command("list", { limit: certificates });
  const requests = await Promise.all(
    subjects.map(async ({ id: subject }) => {
      const { request } = await newCertificateRequest();
      return { subject, certificateRequest: request };
    }),
  );
  const waiting = requests.values();
  const startedAt = performance.now();
  const lane = async () => {
    for (const request of waiting) await command("credential", request);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return (requests.length / (performance.now() - startedAt)) * 1000;
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
