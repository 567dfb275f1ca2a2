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
const lanes = 32;
const revokedEntries = 100_000;

/** One thing that was measured, and what the project asks of it. */
export interface RegistryFigure {
  readonly figure: string;
  readonly runtime: string;
  readonly value: number;
  readonly unit: Unit;
  readonly asked: string;
}

type Unit = "ms" | "MB" | "/s";
type Found = (figure: string, value: number, unit: Unit, asked: string) => void;

/**
 * Prints and gives what the registry, the CA and the feed cost on each runtime: a snapshot in a broker, a large CRL,
 * import, certificates, and revocation beside live connections.
 */
export async function measureRegistry(
  folder: string,
  runtimes: Readonly<Record<string, string>>,
  print: (line: string) => void,
): Promise<readonly RegistryFigure[]> {
  const figures: RegistryFigure[] = [];
  mkdirSync(folder, { recursive: true });
  for (const [runtime, program] of Object.entries(runtimes)) {
    const found: Found = (figure, value, unit, asked) => {
      figures.push({ figure, runtime, value, unit, asked });
      print(
        `${runtime}: ${figure}: ${value.toFixed(value < 100 ? 1 : 0)} ${unit} (asked: ${asked})`,
      );
    };
    const { milliseconds, megabytes } = applySnapshot(folder, program);
    found(`snapshot of ${devices} devices`, milliseconds, "ms", "at most 2000");
    found("its memory in the broker", megabytes, "MB", "at most 60");
    const change = measureReevaluation(program);
    found("a new policy, 10,000 devices asked again", change.milliseconds, "ms", "at most 500");
    found("the longest turn meanwhile", change.longestTurnMs, "ms", "nothing");
    const built = buildRevocationList(folder, program);
    found(`CRL of ${revokedEntries} entries`, built, "ms", "at most 1000");
    await measureDeployment(program, found);
  }
  rmSync(folder, { recursive: true, force: true });
  return figures;
}

async function measureDeployment(program: string, found: Found): Promise<void> {
  await using deployment = await startDeployment({
    program,
    services: ["crowd"],
    devices: 0,
    settings: {
      "limits.connectionsPerSubject.service": liveConnections + 1,
      "limits.connectionsPerAddress": 2 * liveConnections,
    },
  });
  found("import", await importDevices(deployment), "/s", "at least 1700");
  found("certificates", await issueCertificates(deployment), "/s", "at least 250");
  const { p50, p99 } = await revoke(deployment);
  const beside = `revoke to disconnect beside ${liveConnections} connections`;
  found(`${beside}, p50`, p50, "ms", "at most 250");
  found(`${beside}, p99`, p99, "ms", "at most 250");
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

/** A change of the policy under 2,000 messages a second; see `reevaluate.ts`. */
function measureReevaluation(program: string): { milliseconds: number; longestTurnMs: number } {
  const words = [join(import.meta.dirname, "reevaluate.ts")];
  return JSON.parse(execFileSync(program, words, { encoding: "utf8" }));
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
