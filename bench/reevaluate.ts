/**
 * Has a broker's code ask again for every subscription of 10,000 devices after a change of the policy, while messages go
 * through it, and prints how long that took and how long the event loop stood still at most: `reevaluate.ts`.
 */
import { randomUUID } from "node:crypto";
import { encodePacket } from "@wardmq/mqtt";
import { defaultPolicyText } from "@wardmq/policy";
import { BrokerParts, Link } from "../apps/broker/test/broker-parts.ts";

const devices = 10_000;
const channels = ["command", "command/request/+", "config", "firmware/command", "lifecycle"];
const messagesPerSecond = 2_000;
const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

const before = defaultPolicyText().replace("service:dashboard", "service:reader");
/** Takes a right from every hundredth device, and has those of all others worked out anew. */
const after = `${before}
groups:
  some: { kind: device, ward: [ward-0] }
deny:
  - { to: "group:some", subscribe: ["{org}/+/+/device/+/config"], reason: a benchmark }
`;

const parts = new BrokerParts({
  policy: before,
  nextTurn: setImmediate,
  limits: { memoryBytes: 8 * 1024 ** 3 },
});
parts.monotonic = () => performance.now();

/** Connects and subscribes; a turn for each would take as long as all that is measured. */
function enter(link: Link, clientId: string, filters: readonly string[]): void {
  const terms = { version: 5, cleanStart: true, keepAlive: 0, will: undefined } as const;
  const nobody = { username: undefined, password: undefined, properties: {} } as const;
  const subscriptions = filters.map((filter) => ({ filter, ...options }));
  for (const packet of [
    { type: "CONNECT", clientId, ...terms, ...nobody },
    { type: "SUBSCRIBE", packetId: 1, subscriptions, properties: {} },
  ] as const) {
    link.connection.receive(Buffer.from(encodePacket(packet, 5)));
  }
}

const senders = Array.from({ length: devices }, (_, i) => {
  const uuid = randomUUID();
  const ward = `ward-${i % 100}`;
  const link = new Link(parts, parts.device(uuid, ward)); // not one that every turn of `parts` looks at
  const own = `hospital/north/${ward}/device/${uuid}`;
  const filters = channels.map((channel) => `${own}/${channel}`);
  enter(link, uuid, filters);
  const packet = {
    type: "PUBLISH",
    topic: `${own}/telemetry`,
    payload: Buffer.alloc(900),
  } as const;
  const flags = { qos: 0, retain: false, dup: false, packetId: undefined, properties: {} } as const;
  return { link, bytes: Buffer.from(encodePacket({ ...packet, ...flags }, 5)) };
});
const reader = parts.link(parts.service("reader"));
enter(reader, "reader", ["hospital/+/+/device/+/telemetry"]);
parts.turn();
reader.takeBytes();

let messages = 0;
/** Sends what is due of the messages since `startedAt`. */
function send(startedAt: number): void {
  const due = Math.floor(((performance.now() - startedAt) * messagesPerSecond) / 1000);
  if (due === messages) return;
  for (; messages < due; messages += 1) {
    const { link, bytes } = senders[(messages * 499) % devices] as (typeof senders)[number];
    if (!link.mustClose) link.connection.receive(Buffer.from(bytes));
  }
  parts.turn();
  reader.takeBytes();
}

/** Milliseconds until `done`, and of the longest turn of the event loop meanwhile. */
async function loadUntil(done: Promise<unknown>, startedAt: number) {
  let [isOver, longest, endedAt] = [false, performance.now() - startedAt, performance.now()];
  void done.then(() => {
    isOver = true;
  });
  while (!isOver) {
    send(startedAt);
    await new Promise((resolve) => setImmediate(resolve));
    longest = Math.max(longest, performance.now() - endedAt);
    endedAt = performance.now();
  }
  return { milliseconds: endedAt - startedAt, longestTurnMs: longest, messages };
}

await loadUntil(new Promise((resolve) => setTimeout(resolve, 1_000)), performance.now());
messages = 0;
const startedAt = performance.now();
const measured = await loadUntil(parts.usePolicy(after) ?? Promise.resolve(), startedAt);
parts.turn();
const closed = senders.filter(({ link }) => link.mustClose).length;
if (closed !== devices / 100) throw new Error(`${closed} connections ended`);
process.stdout.write(JSON.stringify(measured));
