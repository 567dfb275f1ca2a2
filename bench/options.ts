import { parseArgs } from "node:util";
import { workloads } from "./workloads.ts";

/** What is measured beside the workloads of the load generator. */
export const registryName = "registry";
export const startName = "start";

const brokerNames = ["wardmq-bun", "wardmq-node", "mosquitto"] as const;

export type BrokerName = (typeof brokerNames)[number];

const allNames: readonly string[] = [...workloads.map(({ name }) => name), startName, registryName];

export interface BenchOptions {
  readonly only: readonly string[];
  readonly runs: number;
  readonly seconds: number;
  readonly brokers: readonly BrokerName[];
  readonly json: boolean;
  readonly mqtt: "3" | "5";
  readonly document: boolean;
}

export const usage = `usage: npm run bench -- [option...]

Starts WardMQ (on Bun and on Node) and Mosquitto side by side, loads each the same way, compares.

  --only NAME[,NAME]     ${allNames.join(", ")}
  --runs N               how often everything is measured; the median counts (3)
  --seconds N            how long each saturated workload is measured (5)
  --brokers NAME[,NAME]  ${brokerNames.join(", ")} (all)
  --mqtt 3|5             MQTT 3.1.1 or 5.0 (3)
  --json                 print the result as JSON instead of tables
  --document             put the table into docs/benchmarks.md`;

/** The options of the command line; throws with a sentence on what it does not know. */
export function benchOptions(words: readonly string[]): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { type: "string", default: allNames.join() },
      runs: { type: "string", default: "3" },
      seconds: { type: "string", default: "5" },
      brokers: { type: "string", default: brokerNames.join(",") },
      mqtt: { type: "string", default: "3" },
      json: { type: "boolean", default: false },
      document: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const isWhole = values.only === allNames.join() && values.brokers === brokerNames.join(",");
  if (values.document && !isWhole) {
    throw new Error("--document shows everything: leave out --only and --brokers");
  }
  return {
    only: oneOf("--only", values.only, allNames),
    runs: wholeNumber("--runs", values.runs, 100),
    seconds: wholeNumber("--seconds", values.seconds, 600),
    brokers: oneOf("--brokers", values.brokers, brokerNames),
    mqtt: oneOf("--mqtt", values.mqtt, ["3", "5"] as const)[0] ?? "3",
    json: values.json,
    document: values.document,
  };
}

function oneOf<const Name extends string>(
  option: string,
  text: string,
  known: readonly Name[],
): Name[] {
  return text.split(",").map((word) => {
    const name = known.find((candidate) => candidate === word);
    if (name === undefined)
      throw new Error(`${option} ${word}: one of ${known.join(", ")} is expected`);
    return name;
  });
}

function wholeNumber(option: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new Error(`${option} ${text}: a whole number from 1 to ${most} is expected`);
  }
  return value;
}
