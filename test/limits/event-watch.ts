import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SecurityEvent } from "@wardmq/events";
import { until } from "./waiting.ts";

/** What control has recorded in a deployment since this was made. */
export class EventWatch {
  readonly #path: string;
  readonly #from: number;

  constructor(directory: string) {
    this.#path = join(directory, "control/events.ndjson");
    this.#from = statSync(this.#path).size;
  }

  /** The events so far. */
  get all(): readonly SecurityEvent[] {
    const text = readFileSync(this.#path).subarray(this.#from).toString();
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    return whole.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
  }

  /** The first event with these fields; waits for it, since events reach control in batches. */
  async first(fields: Partial<SecurityEvent>): Promise<SecurityEvent> {
    const matches = (event: SecurityEvent) =>
      Object.entries(fields).every(([key, value]) => event[key as keyof SecurityEvent] === value);
    try {
      return await until("an event", () => this.all.find(matches));
    } catch {
      throw new Error(`no event ${JSON.stringify(fields)} among ${JSON.stringify(this.all)}`);
    }
  }
}
