import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { type Credential, commandOver, newCredential } from "../test/support/deployment.ts";
import type { RunningBroker } from "./running-broker.ts";
import { cleanEnvironment, cliProgram } from "./wardmq.ts";

/** A deployment of WardMQ with the credentials the load needs. Mosquitto uses the same server certificate and CA. */
export interface Deployment {
  readonly directory: string;
  /** Credential of the service `load`. */
  readonly service: string;
  /** A folder with one credential folder for each device, named by its UUID. */
  readonly devices: string;
  /** A file with an access token that gives the role `load`, good for an hour. */
  readonly token: string;
  /** Topics of the saturated workloads begin with this. */
  readonly topic: string;
  /** The devices publish to `<ward>/device/<uuid>/telemetry`. */
  readonly ward: string;
  /** What the readers of the ward subscribe to. */
  readonly wardFilter: string;
}

const org = "clinic";
const site = "main";
const ward = "icu";

const policy = `topics:
  templates: ["{org}/{site}/{ward}/device/{uuid}/{channel}", "{org}/bench/#"]
roles:
  bedside-device:
    publish: ["{org}/{site}/{ward}/device/{id}/telemetry", "{org}/{site}/{ward}/device/{id}/alarm"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
  load:
    publish: ["{org}/bench/fanout", "{org}/bench/pair/+", "{org}/bench/in/+", "{org}/bench/durable/+"]
    subscribe: ["{org}/bench/fanout", "{org}/bench/pair/+", "{org}/bench/in/+", "{org}/bench/durable/+", "{org}/+/+/device/+/telemetry"]
bindings:
  - { role: bedside-device, to: "device:*" }
  - { role: load, to: "service:load" }
claims:
  - { issuer: bench, claim: groups, value: load, role: load }
`;

/** Makes a deployment in `folder` with so many devices. `serve` starts its WardMQ for as long as that takes. */
export async function benchDeployment(
  folder: string,
  devices: number,
  serve: (directory: string) => Promise<RunningBroker>,
): Promise<Deployment> {
  const deployment = deploymentIn(folder);
  await makeDeployment(deployment, devices, serve);
  await makeToken(deployment);
  return deployment;
}

function deploymentIn(folder: string): Deployment {
  return {
    directory: join(folder, "deployment"),
    service: join(folder, "credentials", "load"),
    devices: join(folder, "credentials", "devices"),
    token: join(folder, "credentials", "token"),
    topic: `${org}/bench`,
    ward: `${org}/${site}/${ward}`,
    wardFilter: `${org}/+/+/device/+/telemetry`,
  };
}

/**
 * A token of an issuer that nobody can ask: its key stands where control keeps what it has fetched, and counts for as
 * long as a benchmark lasts.
 */
async function makeToken({ directory, token }: Deployment): Promise<void> {
  const [issuer, audience, kid] = ["https://localhost:1", "urn:wardmq:bench", "bench"];
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const { kty, crv, x, y } = await exportJWK(publicKey);
  const now = Math.floor(Date.now() / 1000);
  const claims = { client_id: "bench", jti: randomUUID(), groups: ["load"] };
  const signed = await new SignJWT(claims)
    .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject("bench")
    .setIssuedAt(now)
    .setExpirationTime(now + 3_600)
    .sign(privateKey);
  const keys = [{ kid, jwk: { kty, crv, x, y } }];
  const fetched = { bench: { issuer, fetchedAt: now * 1000, keys } };
  const options = { mode: 0o600 };
  writeFileSync(token, signed, options);
  writeFileSync(join(directory, "control/issuer-keys.json"), JSON.stringify(fetched), options);
  writeFileSync(
    join(directory, "issuers.yaml"),
    `issuers:
  bench:
    issuer: ${issuer}
    audience: ${audience}
`,
    options,
  );
}

async function makeDeployment(
  { directory, service, devices: folder }: Deployment,
  devices: number,
  serve: (directory: string) => Promise<RunningBroker>,
): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await wardmq("init", directory, "--org", org, "--host", "localhost");
  writeFileSync(join(directory, "policy.yaml"), policy);
  await wardmq("policy", "check", directory);
  const serving = await serve(directory);
  try {
    const command = commandOver(directory);
    const { id } = await command("service.add", { name: "load" });
    writeCredential(service, await newCredential(command, id));
    await inParallel(devices, 8, async () => {
      const uuid = randomUUID();
      const device = await command("device.add", { site, ward, id: uuid });
      writeCredential(join(folder, uuid), await newCredential(command, device.id));
    });
  } finally {
    await serving.stop();
  }
  const made = readdirSync(folder).length;
  if (made !== devices) throw new Error(`${made} of ${devices} device credentials were made`);
}

/** The files that `wardmq credential --out` writes. */
function writeCredential(folder: string, { key, cert, ca }: Credential): void {
  mkdirSync(folder, { mode: 0o700 });
  writeFileSync(join(folder, "key.pem"), key, { mode: 0o600 });
  writeFileSync(join(folder, "cert.pem"), cert);
  writeFileSync(join(folder, "ca.pem"), ca);
}

async function wardmq(...words: string[]): Promise<void> {
  try {
    await promisify(execFile)(cliProgram.command, [...cliProgram.words, ...words], {
      timeout: 60_000,
      env: cleanEnvironment,
    });
  } catch (error) {
    const said =
      error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    throw new Error(`wardmq ${words.slice(0, 2).join(" ")} failed: ${said}`);
  }
}

/** Runs `task` `times` times, at most `width` at once. */
async function inParallel(times: number, width: number, task: () => Promise<void>): Promise<void> {
  let started = 0;
  const worker = async () => {
    while (started < times) {
      started++;
      await task();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
}
