import { test } from "node:test";
import type { ProtocolVersion } from "@wardmq/mqtt";
import type { Deployment } from "../support/deployment.ts";
import { Clients, type Listener } from "./clients.ts";

/** One way to speak to the broker. */
export interface Way {
  readonly version: ProtocolVersion;
  readonly via: Listener;
}

const everyWay: readonly Way[] = [
  { version: 5, via: "mqtts" },
  { version: 5, via: "wss" },
  { version: 4, via: "mqtts" },
  { version: 4, via: "wss" },
];

export const onlyV5: readonly Way[] = everyWay.filter(({ version }) => version === 5);
export const onlyV3: readonly Way[] = everyWay.filter(({ version }) => version === 4);

export const bothListeners: readonly Way[] = onlyV5;

interface LimitTestOptions {
  readonly ways?: readonly Way[] | undefined;
  /** The test waits for most of its time, so it starts at once with others of its kind. */
  readonly atOnce?: true;
  /** Why the test cannot be run here. */
  readonly skip?: string | false;
}

/**
 * Registers a test of one limit, for every way it may be met: each edition, each listener. Its name begins with the key
 * under `limits`; the table of limits is checked against these names.
 */
export function limitTest(
  key: string,
  behaviour: string,
  deployment: Deployment,
  run: (clients: Clients) => Promise<void>,
  { ways = everyWay, atOnce, skip = false }: LimitTestOptions = {},
): void {
  for (const { version, via } of ways) {
    const edition = version === 5 ? "5.0" : "3.1.1";
    const start = async () => {
      const clients = new Clients(deployment, version, via);
      try {
        await run(clients);
      } finally {
        await clients.end();
      }
    };
    // What began already keeps its failure until its test asks for it.
    const outcome = atOnce && skip === false ? Promise.allSettled([start()]) : undefined;
    test(`${key}: ${behaviour} (${edition} over ${via})`, { timeout: 60_000, skip }, async () => {
      if (outcome === undefined) return start();
      const [settled] = await outcome;
      if (settled.status === "rejected") throw settled.reason;
    });
  }
}
