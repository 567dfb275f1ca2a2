import type { SecurityEvent } from "@wardmq/events";
import type { Deployment } from "../support/deployment.ts";

const patienceMs = 60_000;

export async function eventsOf(deployment: Deployment): Promise<readonly SecurityEvent[]> {
  const { events } = await deployment.command("events", { last: 1_000 });
  return events as unknown as readonly SecurityEvent[];
}

export const count = (events: readonly SecurityEvent[], type: SecurityEvent["type"]) =>
  events.filter((event) => event.type === type).length;

/** All events, once there are more than `before` of one type. */
export async function eventsWithMore(
  deployment: Deployment,
  type: SecurityEvent["type"],
  before = 0,
): Promise<readonly SecurityEvent[]> {
  const end = Date.now() + patienceMs;
  for (;;) {
    const events = await eventsOf(deployment);
    if (count(events, type) > before) return events;
    if (Date.now() > end) throw new Error(`control did not hear of ${type}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

/** Starts the broker, which is not running, and waits until control has heard from it; gives all events. */
export async function startBroker(deployment: Deployment): Promise<readonly SecurityEvent[]> {
  const before = count(await eventsOf(deployment), "broker-started");
  await deployment.startBroker();
  return eventsWithMore(deployment, "broker-started", before);
}
