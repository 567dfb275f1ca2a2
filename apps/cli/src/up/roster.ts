import { randomUUID, X509Certificate } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "../ask.ts";
import { credentialFiles, makeCredential } from "../credential.ts";
import { systemCode } from "../failure.ts";
import { type DeviceKind, dashboard, org, ownClient, plannedDevices, site } from "./plan.ts";

/** `demo/ward.json`: what the simulated ward needs to know. Credentials are folders below the deployment. */
export interface WardFile {
  readonly host: string;
  readonly port: number;
  readonly org: string;
  readonly devices: readonly RosterDevice[];
  readonly dashboard: { readonly credential: string; readonly login?: DashboardLogin };
  /** For a person: how to connect a client of one's own. */
  readonly connect: readonly string[];
}

/** How the dashboard gets tokens, and where it brings them: the listener for MQTT over WebSocket with tokens. */
export interface DashboardLogin {
  readonly issuer: string;
  readonly clientId: string;
  readonly secret: string;
  readonly audience: string;
  readonly issuerCa: string;
  readonly port: number;
}

interface RosterDevice {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly site: string;
  readonly ward: string;
  readonly credential: string;
}

const wardFile = join("demo", "ward.json");
const dashboardCredential = "demo/dashboard";
export const ownCredential = `demo/${ownClient}`;

/**
 * Registers what is missing of the planned ward in the current deployment and makes the credentials that are missing or
 * run out, so that a first run that was interrupted is completed by the next.
 */
export async function completeRoster(
  report: (line: string) => void,
): Promise<readonly RosterDevice[]> {
  const { subjects } = await ask("list", {});
  const active = new Map(
    subjects
      .filter(({ state }) => state === "active")
      .map(({ id, attributes }) => [id, attributes]),
  );
  const spare = [...active.values()].filter(({ site }) => site !== undefined);
  const devices: RosterDevice[] = [];
  for (const { kind, model, ward } of plannedDevices) {
    const found = spare.findIndex(
      (attributes) => attributes["model"] === model && attributes["ward"] === ward,
    );
    const [known] = found < 0 ? [] : spare.splice(found, 1);
    const id = known?.["id"] ?? randomUUID();
    if (known === undefined) await ask("device.add", { site, ward, model, id });
    const credential = `demo/devices/${id}`;
    await renewCredential(`device:${id}`, credential, report);
    devices.push({ id, kind, site, ward, credential });
  }
  for (const name of [dashboard, ownClient]) {
    if (!active.has(`service:${name}`)) await ask("service.add", { name });
    await renewCredential(`service:${name}`, `demo/${name}`, report);
  }
  return devices;
}

const dayMs = 86_400_000;

async function renewCredential(
  subject: string,
  folder: string,
  report: (line: string) => void,
): Promise<void> {
  const left = timeLeft(folder);
  if (left !== undefined && left > dayMs) return;
  if (left !== undefined) report(`the certificate of ${subject} runs out; making a new one`);
  for (const file of credentialFiles) rmSync(join(folder, file), { force: true });
  await makeCredential(subject, folder);
}

/** Milliseconds until a credential ends; undefined when there is none that can be used. */
function timeLeft(folder: string): number | undefined {
  try {
    const [key, cert] = credentialFiles.map((file) => readFileSync(join(folder, file)));
    return key && cert ? new X509Certificate(cert).validToDate.getTime() - Date.now() : undefined;
  } catch (error) {
    if (systemCode(error) === "EACCES") throw error;
    return undefined;
  }
}

/** Writes `demo/ward.json` whole or not at all. */
export function writeWardFile(
  contents: Omit<WardFile, "org" | "dashboard">,
  login: DashboardLogin | undefined,
): void {
  const ofDashboard = { credential: dashboardCredential, ...(login && { login }) };
  const whole: WardFile = { ...contents, org, dashboard: ofDashboard };
  writeFileSync(`${wardFile}.new`, `${JSON.stringify(whole, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(`${wardFile}.new`, wardFile);
}
