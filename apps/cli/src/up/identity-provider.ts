import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describeEnding } from "../child.ts";
import { minimalEnvironment } from "../environment.ts";
import { Failure } from "../failure.ts";
import { chooseRuntime, programs } from "../runtime.ts";
import { dashboardClaim } from "./plan.ts";
import type { DashboardLogin } from "./roster.ts";

const audience = "urn:wardmq:demo-hospital";
const marker = "# Written anew by wardmq up for its identity provider, which takes any password.";
const readyMs = 30_000;

export interface DemoProvider {
  readonly issuer: string;
  readonly clientId: string;
  /** The client that the ward's dashboard is. */
  readonly dashboard: { readonly id: string; readonly secret: string };
  readonly pid: number;
  stop(): void;
}

/** Starts the demo's identity provider for the current deployment; every line of it says what it is. */
export async function startDemoProvider(
  directory: string,
  report: (line: string) => void,
): Promise<DemoProvider> {
  mkdirSync(join(directory, "demo"), { recursive: true, mode: 0o700 });
  const { command, options } = chooseRuntime("node");
  const child = spawn(command, [...options, programs.idp, directory], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...minimalEnvironment(process.env), WARDMQ_UP: "1" },
    detached: true,
  });
  child.stdin?.on("error", () => {});
  createInterface({ input: child.stderr }).on("line", (line) => report(marked(line)));
  const ready = await readyOf(child, report);
  let isStopping = false;
  child.on("exit", (code, signal) => {
    if (isStopping) return;
    const how = describeEnding({ code, signal });
    report(marked(`${how}; nobody logs in until wardmq up is started again`));
  });
  const stop = () => {
    isStopping = true;
    child.kill("SIGTERM");
  };
  return { ...ready, pid: child.pid ?? 0, stop };
}

const marked = (line: string) =>
  line.startsWith("DEMO identity provider:") ? line : `DEMO identity provider: ${line}`;

function readyOf(
  child: ChildProcess,
  report: (line: string) => void,
): Promise<Omit<DemoProvider, "pid" | "stop">> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) =>
      reject(new Failure(1, `the demo's identity provider ${why}`, "run wardmq up again"));
    const timer = setTimeout(() => fail("did not start in time"), readyMs);
    child.on("error", (error) => fail(error.message));
    child.on("exit", (code) => fail(`ended with ${code}`));
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (!line.startsWith("ready ")) return report(marked(line));
      clearTimeout(timer);
      resolve(JSON.parse(line.slice("ready ".length)));
    });
  });
}

/** Tells the deployment whom to trust; an issuers.yaml that somebody has written stays. */
export function writeDemoIssuers({ issuer }: DemoProvider): void {
  const path = "issuers.yaml";
  if (existsSync(path) && !readFileSync(path, "utf8").startsWith(marker)) return;
  writeFileSync(
    path,
    `${marker}
issuers:
  demo:
    issuer: ${issuer}
    audience: ${audience}
    caFile: demo/identity-provider.pem
    algorithms: [ES256]
    maximumLifeSeconds: 600
    attributes: { ward: ward }
`,
    { mode: 0o600 },
  );
}

/**
 * How the ward's dashboard logs in; undefined where the policy gives its tokens nothing, as that of a demo which an older
 * version has made: there it goes on with its certificate.
 */
export function dashboardLogin(
  { issuer, dashboard }: DemoProvider,
  tokenWssPort: number,
): DashboardLogin | undefined {
  const path = "policy.yaml";
  if (!existsSync(path) || !readFileSync(path, "utf8").includes(dashboardClaim)) return undefined;
  const { id, secret } = dashboard;
  return {
    ...{ issuer, clientId: id, secret, audience },
    port: tokenWssPort,
    issuerCa: "demo/identity-provider.pem",
  };
}

/** What `wardmq login`, `sub` and `pub` read without being told. */
export function writeDemoProfile(
  { issuer, clientId }: DemoProvider,
  host: string,
  tokenWssPort: number,
): void {
  const profile = {
    issuer,
    clientId,
    audience,
    broker: `wss://${host}:${tokenWssPort}/mqtt`,
    issuerCa: "identity-provider.pem",
    brokerCa: "dashboard/ca.pem",
  };
  writeFileSync("demo/login.json", `${JSON.stringify(profile, undefined, 2)}\n`, { mode: 0o600 });
}
