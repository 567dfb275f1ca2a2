import type { SecurityEvent } from "@wardmq/events";
import { readEvents } from "../support/events.ts";
import { until } from "./waiting.ts";

/** What control has recorded in a deployment since this was made. */
export class EventWatch {
  readonly #directory: string;
  readonly #from: number;

  constructor(directory: string) {
    this.#directory = directory;
    this.#from = readEvents(directory).length;
  }

  /** The events so far. */
  get all(): readonly SecurityEvent[] {
    return readEvents(this.#directory).slice(this.#from);
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
