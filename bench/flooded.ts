import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Deployment } from "./deployment.ts";
import { type Led, type LoadResult, leadLoad, numberAt } from "./generator.ts";
import { keepCoresAwake } from "./machine.ts";
import { median } from "./report.ts";
import { serverKeyOf } from "./server-key.ts";

/** What floods: `flood` sends tokens over connections that are open, `connect-flood` brings each with a CONNECT. */
export type FloodLoad = "flood" | "connect-flood";

/** What stands beside the ward while it is measured. */
export type Beside = "nothing" | "sink" | "broker";

/** One round: the ward's result beside each, and what the two floods say of themselves. */
export interface Round {
  readonly ward: Readonly<Record<Beside, LoadResult>>;
  readonly flood: Readonly<Record<Exclude<Beside, "nothing">, LoadResult>>;
}

/** One measurement: what the ward says, and the flood beside it. */
export interface Measured {
  readonly ofWard: LoadResult;
  readonly ofFlood?: LoadResult;
}

const rounds = 3;
/** Each measurement is tried so often while the host takes more of the machine's cores than that, and no longer. */
const stolenAtMost = 0.02;
const mostTries = 3;
const patienceMs = 180_000;
const tokensPerSecond = 5_000;
/** Each flood is ended as soon as the measurement beside it is. */
const floodSeconds = 600;
/** The ward has as long to come up and warm up, or to measure, beside what its options say. */
const spareMs = 90_000;
/** Between two measurements: what ends the one before, or begins a flood, is none of theirs. */
const settleMs = 2_000;
/**
 * What a flood leaves at the broker is judged for so long: a renewal of each connection waits, another one lies in its
 * socket, which is not read meanwhile, and 50 bad ones are judged a second.
 */
const aftermathMs = 42_000;

export interface FloodedParts {
  readonly generator: string;
  readonly load: FloodLoad;
  /** The ward's words, its length included. */
  readonly ward: readonly string[];
  /** Where a flood goes, and as whom: what the ward's words say of it, without `--port`. */
  readonly flood: readonly string[];
  readonly port: number;
  readonly deployment: Deployment;
  /** For the sink's credential. */
  readonly folder: string;
  readonly timeoutMs: number;
}

/**
 * Measures the ward on one broker alone, beside a flood at a sink that throws away all of it, and beside the same flood
 * at the broker, in turn, three rounds: what the flood's own programs cost the machine is in the second, too. Where the
 * host is busy each is tried several times, and the least disturbed counts: a virtual machine that is kept waiting for
 * its cores shows a p99 of ten times as much, whatever runs on it.
 */
export async function measureFlooded(parts: FloodedParts): Promise<LoadResult> {
  const { generator, load, deployment, folder } = parts;
  const identity = join(folder, "sink");
  writeServerIdentity(identity, deployment);
  const refuse = load === "connect-flood" ? ["--refuse"] : [];
  using cores = keepCoresAwake();
  await using sink = leadLoad(generator, [
    "sink",
    ...parts.flood,
    "--service",
    identity,
    ...refuse,
  ]);
  await using ward = leadLoad(generator, [...parts.ward, "--led"], "as others");
  const ports = { sink: numberAt(await sink.line(spareMs), "port"), broker: parts.port };
  await ward.line(parts.timeoutMs);

  const measure = async (flood?: Led) => {
    await delay(settleMs);
    flood?.begin();
    ward.begin();
    return ward.line(parts.timeoutMs);
  };
  let floods = 0;
  const measureBeside = async (where: Beside): Promise<Measured> => {
    if (where === "nothing") return { ofWard: await measure() };
    floods += 1;
    const length = ["--seconds", `${floodSeconds}`, "--rate", `${tokensPerSecond}`];
    // Other addresses each time: every flood finds the broker as the first one did.
    const to = ["--port", `${ports[where]}`, "--from", `127.${floods}.0.1`];
    await using flood = leadLoad(generator, [load, ...parts.flood, ...to, ...length, "--led"]);
    await flood.line(spareMs);
    const ofWard = await measure(flood);
    flood.end();
    const ofFlood = await flood.line(spareMs);
    if (where === "broker") await delay(aftermathMs);
    return { ofWard, ofFlood };
  };

  const until = Date.now() + patienceMs;
  const done: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const wards: Partial<Record<Beside, LoadResult>> = {};
    const byFlood: Partial<Record<Beside, LoadResult>> = {};
    for (const beside of orderOf(round)) {
      const { ofWard, ofFlood } = await leastDisturbed(
        () => measureBeside(beside),
        () => Date.now() < until,
      );
      wards[beside] = ofWard;
      if (beside !== "nothing" && ofFlood !== undefined) byFlood[beside] = ofFlood;
    }
    done.push({ ward: wards, flood: byFlood } as Round); // each of them stands in the order
  }
  return { ...floodedResult(load, done), coresAwake: cores.areAwake };
}

/** Tries until the host has left us the cores, and as long as it may. */
export async function leastDisturbed(
  measure: () => Promise<Measured>,
  mayTry: () => boolean,
): Promise<Measured> {
  let best = await measure();
  for (let tries = 1; tries < mostTries && stolenOf(best) > stolenAtMost && mayTry(); tries++) {
    const next = await measure();
    if (stolenOf(next) < stolenOf(best)) best = next;
  }
  return best;
}

function stolenOf({ ofWard }: Measured): number {
  return numberAt(ofWard, "stolen");
}

/** Another one begins each round. */
export function orderOf(round: number): readonly Beside[] {
  const all: readonly Beside[] = ["nothing", "broker", "sink"];
  const first = round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/**
 * The rounds and what is made of them: medians, and medians of the ratios within each round in which the host left us
 * the cores for both; NaN where there was none.
 */
export function floodedResult(load: FloodLoad, rounds: readonly Round[]): LoadResult {
  const p99 = (beside: Beside) => rounds.map(({ ward }) => numberAt(ward[beside], "latencyMs.p99"));
  const isUndisturbed = (result: LoadResult) => numberAt(result, "stolen") <= stolenAtMost;
  const ratio = (of: Beside, by: Beside) =>
    median(
      rounds
        .filter(({ ward }) => isUndisturbed(ward[of]) && isUndisturbed(ward[by]))
        .map(
          ({ ward }) => numberAt(ward[of], "latencyMs.p99") / numberAt(ward[by], "latencyMs.p99"),
        ),
    );
  const sent = (where: "sink" | "broker", key: string) =>
    median(rounds.map(({ flood }) => numberAt(flood[where], key)));
  const perSecond = load === "flood" ? "inPerSecond" : "connectsPerSecond";
  const cpuPerSecond = (result: LoadResult) =>
    numberAt(result, "brokerCpuSeconds") / result.seconds;
  const cpuMicros = rounds.map(({ ward, flood }) => {
    const more = cpuPerSecond(ward.broker) - cpuPerSecond(ward.nothing);
    return (more * 1e6) / numberAt(flood.broker, perSecond);
  });
  const wards = rounds.flatMap(({ ward }) => Object.values(ward));
  const most = (results: readonly LoadResult[], key: string) =>
    Math.max(...results.map((result) => numberAt(result, key)));
  return {
    workload: load,
    seconds: wards.reduce((sum, { seconds }) => sum + seconds, 0),
    generatorBusy: most(wards, "generatorBusy"),
    // Beside a flood others are its own programs.
    othersBusy: most(
      rounds.map(({ ward }) => ward.nothing),
      "othersBusy",
    ),
    stolen: most(wards, "stolen"),
    lost: most(wards, "lost"),
    aloneP99: median(p99("nothing")),
    sinkP99: median(p99("sink")),
    brokerP99: median(p99("broker")),
    p99Factor: ratio("broker", "nothing"),
    p99FactorOfSink: ratio("broker", "sink"),
    sentPerSecond: sent("broker", perSecond),
    sinkSentPerSecond: sent("sink", perSecond),
    cpuMicros: median(cpuMicros),
    ...(load === "flood" ? {} : answersOf(rounds)),
    rounds,
  };
}

/** What became of the CONNECTs of the floods at the broker, per second. */
function answersOf(rounds: readonly Round[]): Readonly<Record<string, number>> {
  const perSecond = (key: string) =>
    median(rounds.map(({ flood }) => numberAt(flood.broker, key) / flood.broker.seconds));
  return {
    openedPerSecond: perSecond("opened"),
    refusedPerSecond: perSecond("refused"),
    shedPerSecond: perSecond("shed"),
    closedPerSecond: perSecond("closed"),
    waitingAtEnd: median(rounds.map(({ flood }) => numberAt(flood.broker, "waiting"))),
  };
}

/** The sink shows what the broker shows, so that the same client talks to both. */
export function writeServerIdentity(
  folder: string,
  { directory, service }: Pick<Deployment, "directory" | "service">,
): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, "key.pem"), serverKeyOf(directory), { mode: 0o600 });
  copyFileSync(join(directory, "broker", "server.pem"), join(folder, "cert.pem"));
  copyFileSync(join(service, "ca.pem"), join(folder, "ca.pem"));
}
