import assert from "node:assert/strict";
import { after } from "node:test";
import { startDeployment } from "../support/deployment.ts";
import type { Clients } from "./clients.ts";
import { limitTest, type Way } from "./limit-test.ts";

const [byMessages, byBytes] = await Promise.all([
  startDeployment({
    settings: {
      "limits.messagesPerSecond.device": 20,
      "limits.messagesPerSecond.service": 20,
    },
  }),
  startDeployment({
    settings: {
      "limits.bytesPerSecond.device": 1_000_000,
      "limits.bytesPerSecond.service": 1_000_000,
    },
  }),
]);
after(() => Promise.all([byMessages.stop(), byBytes.stop()]));

/** A subject of the kind, and a topic that it alone publishes to. */
function writerOf(kind: "device" | "service", clients: Clients): { as: string; topic: string } {
  const device = clients.deployment.devices[0] ?? "";
  if (kind === "service") return { as: "tester", topic: clients.topic("a") };
  return { as: device, topic: `hospital/north/icu/device/${device}/telemetry` };
}

/** Sends `payloads` and shows that reading pauses behind them: another connection is answered first. */
async function sendTooFast(
  clients: Clients,
  kind: "device" | "service",
  payloads: readonly Buffer[],
): Promise<void> {
  const { as, topic } = writerOf(kind, clients);
  const [reader, other] = [await clients.connect(), await clients.connect()];
  await reader.subscribe(topic, { qos: 0 });
  const writer = await clients.connect({ as });
  for (const payload of payloads) writer.sendPublish(topic, payload);
  let isAnswered = false;
  const answered = (async () => {
    await writer.settle(); // what one read brings is taken whole, and this may be in it
    await writer.settle();
    isAnswered = true;
  })();
  for (let i = 0; i < 20; i += 1) await other.settle();
  assert.equal(isAnswered, false, "the connection is read as fast as it sends");
  for (const payload of payloads) {
    assert.ok(Buffer.from((await reader.take("PUBLISH")).payload).equals(payload));
  }
  await answered;
}

for (const kind of ["device", "service"] as const) {
  const ways: readonly Way[] | undefined =
    kind === "device" ? [{ version: 4, via: "wss" }] : undefined;

  limitTest(
    `messagesPerSecond.${kind}`,
    "reads more slowly what comes faster; everything arrives, in order, while others are served",
    byMessages,
    (clients) =>
      sendTooFast(
        clients,
        kind,
        Array.from({ length: 160 }, (_, i) => Buffer.from(String(i))),
      ),
    { atOnce: true, ways },
  );

  limitTest(
    `bytesPerSecond.${kind}`,
    "reads more slowly what comes faster; everything arrives, in order, while others are served",
    byBytes,
    (clients) =>
      sendTooFast(
        clients,
        kind,
        Array.from({ length: 80 }, (_, i) => Buffer.alloc(50_000, i)),
      ),
    { atOnce: true, ways },
  );
}
