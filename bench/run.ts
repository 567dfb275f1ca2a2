/** `npm run bench`: measures WardMQ on Bun, WardMQ on Node and Mosquitto side by side and prints how they compare. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchDeployment, type Deployment } from "./deployment.ts";
import { documentResults } from "./document.ts";
import { withLimit } from "./durable.ts";
import { measureFlooded } from "./flooded.ts";
import { type LoadResult, loadGenerator, runLoad } from "./generator.ts";
import { firstLine, thisCommit, thisMachine } from "./machine.ts";
import { serveMosquitto } from "./mosquitto.ts";
import {
  type BenchOptions,
  type BrokerName,
  benchOptions,
  registryName,
  startName,
  usage,
} from "./options.ts";
import { measureRegistry, type RegistryFigure } from "./registry.ts";
import { doubts, rowsOf, tableOf } from "./report.ts";
import type { RunningBroker } from "./running-broker.ts";
import { measureStart } from "./start.ts";
import { mosquitto, mosquittoProgram, requirePackages } from "./system-packages.ts";
import { acceptsForLoad, limitsForLoad, serveWardmq } from "./wardmq.ts";
import { type Workload, workloads } from "./workloads.ts";

const root = join(import.meta.dirname, "..");
const buildFolder = join(root, "build", "bench");
const runFolder = join(buildFolder, `run-${process.pid}`); // gone at the end
const devices = 200;

let current: RunningBroker | undefined; // ended when somebody presses Ctrl-C
const commands: Record<string, string> = {}; // what was run, for the record

async function main(options: BenchOptions): Promise<void> {
  const report = (line: string) => console.error(line);
  const print = (line: string) => (options.json ? console.error(line) : console.log(line));
  const chosen = workloads.filter(({ name }) => options.only.includes(name));
  const commit = thisCommit(root);
  const machine = thisMachine();
  const versions = {
    bun: versionOf("bun"),
    node: versionOf("node"),
    mosquitto: firstLine(mosquittoProgram() ?? "mosquitto", ["-h"]),
    openssl: firstLine("openssl", ["version"]),
  };
  print(
    `${machine.cpu}, ${machine.cores} cores, ${machine.kernel}; commit ${commit}; ${Object.values(versions).join(", ")}`,
  );
  print(
    `medians of ${options.runs}; ratios of the same run; all over mutual TLS 1.3 with an access list`,
  );

  const measured = [];
  let failures = 0;
  let means: Means | undefined;
  for (const workload of chosen) {
    means ??= await loadMeans(options, report);
    print(`\n${workload.name}: ${workload.summary}`);
    const results = await measure(workload, options, means, report);
    const rows = rowsOf(workload, results);
    print(tableOf(rows));
    failures += Object.values(results)
      .flat()
      .filter((result) => result === undefined).length;
    measured.push({ name: workload.name, summary: workload.summary, rows, runs: results });
  }

  const chosenRuntimes = (["bun", "node"] as const).filter((one) =>
    options.brokers.includes(`wardmq-${one}`),
  );
  const runtimes = Object.fromEntries(chosenRuntimes.map((one) => [one, programOf(one)]));
  let start: readonly RegistryFigure[] = [];
  if (options.only.includes(startName)) {
    print(`\n${startName}: a broker that finds much in its store`);
    start = measureStart(join(runFolder, startName), runtimes, print);
  }

  let registry: readonly RegistryFigure[] = [];
  if (options.only.includes(registryName)) {
    print(`\n${registryName}: import, certificates, CRL, feed and revocation`);
    registry = await measureRegistry(join(runFolder, registryName), runtimes, print);
  }

  const record = {
    date: new Date().toISOString(),
    commit,
    machine,
    versions,
    options,
    commands,
    workloads: measured,
    start,
    registry,
  };
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${record.date.slice(0, 10)}-${commit}.json`);
  const text = withoutPaths(JSON.stringify(record, null, 1));
  writeFileSync(file, `${text}\n`);
  if (options.json) console.log(text);
  if (options.document) documentResults(join(root, "docs", "benchmarks.md"), record);
  print(`\nwritten to bench/results/${file.slice(folder.length + 1)}`);
  // A missed threshold is a figure; a broker that could not be measured is a failure.
  if (failures > 0) process.exitCode = 1;
}

/** What loads a broker, and who. */
interface Means {
  readonly generator: string;
  readonly deployment: Deployment;
}

async function loadMeans(
  { brokers }: BenchOptions,
  report: (line: string) => void,
): Promise<Means> {
  const generator = loadGenerator(report);
  if (brokers.includes("mosquitto")) requirePackages([mosquitto], report);
  report(`making a deployment with ${devices} devices`);
  const serve = async (directory: string) => {
    current = await serveWardmq(directory, "bun", []);
    return current;
  };
  return { generator, deployment: await benchDeployment(runFolder, devices, serve) };
}

/** Every broker in turn, `runs` times, so that what happens on the machine happens to all of them. */
async function measure(
  workload: Workload,
  options: BenchOptions,
  means: Means,
  report: (line: string) => void,
): Promise<Record<string, (LoadResult | undefined)[]>> {
  const brokers = options.brokers.filter((one) => !takesTokens(workload) || one !== "mosquitto");
  const results: Record<string, (LoadResult | undefined)[]> = Object.fromEntries(
    brokers.map((broker) => [broker, []]),
  );
  for (let run = 0; run < options.runs; run++) {
    for (const broker of brokers) {
      try {
        const result = await measureOnce(workload, broker, options, means);
        for (const doubt of doubts(broker, result)) report(`  run ${run + 1}, ${doubt}`);
        results[broker]?.push(result);
      } catch (error) {
        report(
          `  run ${run + 1}, ${broker} failed: ${error instanceof Error ? error.message : String(error)}`,
        );
        results[broker]?.push(undefined);
      }
    }
  }
  return results;
}

/** A fresh broker process for each measurement: nothing of an earlier one is in its memory. */
async function measureOnce(
  workload: Workload,
  broker: BrokerName,
  options: BenchOptions,
  { generator, deployment }: Means,
): Promise<LoadResult> {
  // What an earlier measurement has stored is none of this one's.
  rmSync(join(deployment.directory, "broker", "state"), { recursive: true, force: true });
  current = await start(broker, deployment, workload);
  try {
    const seconds = Math.max(1, options.seconds * workload.lengthFactor);
    const common = ["--mqtt", options.mqtt, "--service", deployment.service];
    const words = [
      workload.load ?? workload.name,
      ...["--port", `${current.port}`, "--pid", `${current.pid}`, ...common],
      ...(workload.withToken ? ["--token", deployment.token] : []),
      ...(current.beside === undefined ? [] : ["--beside", `${current.beside}`]),
      ...["--seconds", `${seconds}`, "--devices", deployment.devices],
      ...[
        "--topic",
        (workload.load ?? workload.name) === "ward" ? deployment.ward : deployment.topic,
        "--filter",
        deployment.wardFilter,
      ],
      ...workload.words,
    ];
    commands[broker] = current.command.join(" ");
    commands[`load ${workload.name}`] = ["build/load", ...words].join(" ");
    const timeoutMs = (seconds * 3 + 120) * 1000;
    const result =
      workload.besideFlood === undefined
        ? await runLoad(generator, words, timeoutMs)
        : await measureFlooded({
            generator,
            load: workload.besideFlood,
            ward: words,
            flood: [...common, "--token", deployment.token],
            port: current.port,
            deployment,
            folder: runFolder,
            timeoutMs,
          });
    await current.stop();
    const hasJournal = workload.name === "durable" && broker !== "mosquitto";
    return hasJournal ? withLimit(result, deployment.directory) : result;
  } finally {
    await current?.stop();
    current = undefined;
  }
}

function start(
  broker: BrokerName,
  deployment: Deployment,
  workload: Workload,
): Promise<RunningBroker> {
  if (broker === "mosquitto")
    return serveMosquitto(join(runFolder, "mosquitto"), deployment, workload.name === "durable");
  const sets = [
    ...limitsForLoad,
    ...(workload.besideFlood === "connect-flood" ? [] : [acceptsForLoad]),
    ...(takesTokens(workload) ? ["listeners.mqtts.accept=both"] : []),
  ];
  return serveWardmq(deployment.directory, broker === "wardmq-bun" ? "bun" : "node", sets);
}

const takesTokens = ({ withToken, besideFlood }: Workload) =>
  withToken === true || besideFlood !== undefined;

function programOf(runtime: "bun" | "node"): string {
  const folder = runtime === "bun" ? "@oven/bun" : "node";
  const arch = process.arch === "arm64" ? (runtime === "bun" ? "aarch64" : "arm64") : process.arch;
  return join(root, "node_modules", `${folder}-${process.platform}-${arch}`, "bin", runtime);
}

function versionOf(runtime: "bun" | "node"): string {
  return `${runtime} ${firstLine(programOf(runtime), ["--version"])}`;
}

/** A record says nothing about where on whose machine it was made. */
function withoutPaths(text: string): string {
  return text.replaceAll(`${runFolder}/`, "").replaceAll(`${root}/`, "").replaceAll(root, ".");
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    const ended = current?.stop() ?? Promise.resolve();
    void ended.then(() => {
      rmSync(runFolder, { recursive: true, force: true });
      process.exit(130);
    });
  });
}

let options: BenchOptions | "help" = "help";
try {
  options = benchOptions(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exit(2);
}

try {
  if (options === "help") console.log(usage);
  else await main(options);
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(runFolder, { recursive: true, force: true });
}
