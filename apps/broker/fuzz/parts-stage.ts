import { randomUUID } from "node:crypto";
import { BrokerParts, type Link } from "../test/broker-parts.ts";
import { limits } from "./model.ts";
import { policyTexts } from "./policy.ts";
import type { Stage, Wire } from "./stage.ts";

/** The broker behind its door, in this process: no time passes, and nothing happens but what is asked for. */
export class PartsStage implements Stage {
  readonly devices = [
    "00000000-0000-4000-8000-000000000001",
    "00000000-0000-4000-8000-000000000002",
  ];
  readonly services = ["tester", "limited"];
  readonly #parts = new BrokerParts({
    policy: policyTexts[0] ?? "",
    limits: {
      subscriptions: limits.subscriptions,
      connectionsPerSubject: { device: 1, service: 1_000, person: 10 },
    },
    rememberedTopics: 5,
  });
  readonly #links = new Map<Link, Wire>();

  constructor() {
    this.#parts.context.randomId; // each assigned identifier is new, also across runs
    Object.assign(this.#parts.context, { randomId: randomUUID });
  }

  async open(subject: string): Promise<Wire> {
    const state = this.devices.includes(subject)
      ? this.#parts.device(subject)
      : this.#parts.service(subject);
    const link = this.#parts.link(state);
    const wire: Wire = {
      send: (bytes) => {
        link.send(bytes);
        this.#look();
      },
      drop: () => {
        link.drop();
        this.#look();
      },
      setReading: (reads) => {
        if (reads) link.unblock();
        else link.isBlocked = true;
        this.#look();
      },
      onBytes() {},
      onEnd() {},
    };
    this.#links.set(link, wire);
    return wire;
  }

  async usePolicy(which: number): Promise<void> {
    this.#parts.usePolicy(policyTexts[which] ?? "");
    this.#parts.turn();
    this.#look();
  }

  async until(isDone: () => boolean, what: () => string): Promise<void> {
    this.#parts.turn();
    this.#look();
    if (!isDone()) throw new Error(`nothing came for ${what()}`);
  }

  /** Hands on what the broker has written, and says who has ended. */
  #look(): void {
    for (const [link, wire] of this.#links) {
      const bytes = link.takeBytes();
      if (bytes.length > 0) wire.onBytes(bytes);
      if (!link.isClosed) continue;
      this.#links.delete(link);
      wire.onEnd();
    }
  }

  async complaint(): Promise<string | undefined> {
    this.#parts.events.length = 0; // nobody reads them here
    const { failures, context, sessions, budget, retained } = this.#parts;
    if (failures.length > 0)
      return `internal errors: ${failures.map((each) => (each as Error).stack).join("\n")}`;
    const left = {
      connections: context.connections.size,
      sessions: sessions.size,
      preAuthBytes: context.preAuthBytes,
      retained: retained.messages,
      queued: budget.queued,
      output: budget.output,
      partial: budget.partial,
      state: budget.state,
    };
    const kept = Object.entries(left).filter(([, number]) => number !== 0);
    return kept.length === 0
      ? undefined
      : `left behind: ${JSON.stringify(Object.fromEntries(kept))}`;
  }
}
