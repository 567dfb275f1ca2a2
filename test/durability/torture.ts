import { startDeployment } from "../support/deployment.ts";
import { SteadyClient } from "./steady-client.ts";

export interface TortureResult {
  readonly kills: number;
  readonly published: number;
  readonly acknowledged: number;
  readonly deliveries: number;
  /** One sentence for each promise that was broken. */
  readonly broken: readonly string[];
}

const writers = 4;
/** Messages a writer may have unacknowledged. */
const unsettledAtMost = 20;
/** Messages that were published and not yet delivered: more would reach limits that drop the oldest. */
const behindAtMost = 60_000;
const settleMs = 120_000;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Kills the broker again and again while messages of QoS 1 and 2 are published to sessions that stay, come and go, and
 * share; then waits until all is quiet, and compares what was delivered with what was published.
 */
export async function torture(
  kills: number,
  random: () => number,
  log: (line: string) => void = () => {},
): Promise<TortureResult> {
  const deployment = await startDeployment({
    devices: 0,
    settings: { "limits.queuedMessages": 1_000_000, "limits.queuedBytes": 1_073_741_824 },
  });
  const stays = new SteadyClient(deployment, "stays", ["load/#"]);
  const flaps = new SteadyClient(deployment, "flaps", ["load/#"]);
  const shared = [1, 2].map(
    (i) => new SteadyClient(deployment, `shared-${i}`, ["$share/g/load/#"]),
  );
  const publishers = Array.from({ length: writers }, (_, i) => ({
    client: new SteadyClient(deployment, `writer-${i}`, []),
    serial: 0,
  }));
  const all = [stays, flaps, ...shared, ...publishers.map(({ client }) => client)];
  let isRunning = true;
  const delivered = () => {
    const together = shared.reduce((sum, client) => sum + client.delivered.length, 0);
    return Math.min(stays.delivered.length, flaps.delivered.length, together);
  };
  const load = async () => {
    while (isRunning) {
      const isBehind = countOf(publishers) - delivered() > behindAtMost;
      for (const [i, publisher] of publishers.entries()) {
        while (!isBehind && publisher.client.unsettled < unsettledAtMost) {
          const qos = publisher.serial % 2 === 0 ? 1 : 2;
          publisher.serial += 1;
          publisher.client.publish(`load/${i}`, `${i}/${qos}/${publisher.serial}`, qos);
        }
      }
      if (random() < 0.05) flaps.drop();
      await wait(2);
    }
  };
  try {
    for (const client of all) await client.start();
    const loading = load();
    for (let i = 0; i < kills; i += 1) {
      await wait(30 + random() * 400);
      await deployment.killBroker();
      await deployment.startBroker();
      if (i % 10 === 9) log(`killed ${i + 1} times, ${countOf(publishers)} messages published`);
    }
    await wait(200);
    isRunning = false;
    await loading;
    await untilQuiet(all);
    return { kills, ...judge(publishers, [stays, flaps], shared, all) };
  } finally {
    isRunning = false;
    for (const client of all) client.end();
    await deployment.stop();
  }
}

const countOf = (publishers: readonly { serial: number }[]) =>
  publishers.reduce((sum, { serial }) => sum + serial, 0);

/** Nothing is unacknowledged, and nothing has come for a while. */
async function untilQuiet(clients: readonly SteadyClient[]): Promise<void> {
  const deadline = Date.now() + settleMs;
  let last = -1;
  let quietFor = 0;
  while (quietFor < 10 && Date.now() < deadline) {
    const count = clients.reduce((sum, { delivered }) => sum + delivered.length, 0);
    const isQuiet = count === last && clients.every(({ unsettled }) => unsettled === 0);
    quietFor = isQuiet ? quietFor + 1 : 0;
    last = count;
    await wait(100);
  }
}

function judge(
  publishers: readonly { readonly client: SteadyClient }[],
  readers: readonly SteadyClient[],
  shared: readonly SteadyClient[],
  all: readonly SteadyClient[],
): Omit<TortureResult, "kills"> {
  const broken = all.flatMap(({ clientId, faults }) =>
    faults.map((fault) => `${clientId}: ${fault}`),
  );
  const published = publishers.flatMap(({ client }) => client.published);
  const acknowledged = publishers.flatMap(({ client }) => client.acknowledged);
  for (const { client } of publishers) {
    if (client.unsettled > 0) broken.push(`${client.clientId}: ${client.unsettled} unacknowledged`);
  }
  const together = shared.flatMap(({ delivered }) => delivered);
  const views = [
    ...readers.map(({ clientId, delivered }) => ({ name: clientId, delivered, isOrdered: true })),
    { name: "shared", delivered: together, isOrdered: false },
  ];
  for (const { name, delivered, isOrdered } of views) {
    const got = delivered.map((text) => text.trimEnd());
    const counts = new Map<string, number>();
    for (const text of got) counts.set(text, (counts.get(text) ?? 0) + 1);
    const lost = acknowledged.filter((text) => !counts.has(text));
    if (lost.length > 0)
      broken.push(`${name}: ${lost.length} acknowledged messages lost (${lost[0]})`);
    const twice = [...counts].filter(([text, count]) => count > 1 && text.split("/")[1] === "2");
    if (twice.length > 0) broken.push(`${name}: ${twice.length} of QoS 2 came twice (${twice[0]})`);
    if (isOrdered) broken.push(...disorder(name, got, published));
  }
  return {
    published: published.length,
    acknowledged: acknowledged.length,
    deliveries: views.reduce((sum, { delivered }) => sum + delivered.length, 0),
    broken,
  };
}

/** The first time each message came, of one writer and one QoS, is the order they were published in. */
function disorder(name: string, got: readonly string[], published: readonly string[]): string[] {
  const rank = new Map(published.map((text, i) => [text, i]));
  const last = new Map<string, number>();
  for (const text of new Set(got)) {
    const flow = text.slice(0, text.lastIndexOf("/"));
    const at = rank.get(text) ?? -1;
    if (at < (last.get(flow) ?? -1)) return [`${name}: ${text} came out of order`];
    last.set(flow, at);
  }
  return [];
}
