import { setTimeout as delay } from "node:timers/promises";
import type { SecurityEvent } from "@wardmq/events";
import type { Deployment } from "../support/deployment.ts";
import { readEvents } from "../support/events.ts";
import type { RawClient } from "../support/raw-client.ts";

const patienceMs = 15_000;

/** All events of a deployment so far, oldest first. */
export async function eventsOf({ directory }: Deployment): Promise<SecurityEvent[]> {
  return [...readEvents(directory)];
}

/** Waits for an event that answers to a description, and returns it. */
export async function eventWhere(
  deployment: Deployment,
  what: string,
  isMeant: (event: SecurityEvent) => boolean,
): Promise<SecurityEvent> {
  const deadline = Date.now() + patienceMs;
  while (Date.now() < deadline) {
    const found = (await eventsOf(deployment)).find(isMeant);
    if (found !== undefined) return found;
    await delay(25);
  }
  throw new Error(`no event in time: ${what}`);
}

/**
 * All events, once those that happened before this call are complete. Events alike are counted for a second before
 * their number is told, so a denial that happens twice now is told twice: when its number has come, so have all others.
 */
export async function settledEvents(
  deployment: Deployment,
  client: RawClient,
): Promise<SecurityEvent[]> {
  const marks = (await eventsOf(deployment)).filter(isMark).length;
  const topic = `$end/${marks}`;
  for (let i = 0; i < 2; i++) await client.publish(topic, "", { qos: 1 });
  await eventWhere(
    deployment,
    "the mark behind all others",
    (event) => event.topic === topic && event.count !== undefined,
  );
  return (await eventsOf(deployment)).filter((event) => !isMark(event));
}

function isMark({ topic }: SecurityEvent): boolean {
  return topic?.startsWith("$end/") === true;
}
