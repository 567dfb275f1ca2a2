import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { SubjectSummary } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import { newCertificateRequest } from "../support/certificate-request.ts";
import { type Deployment, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { settledEvents } from "./events.ts";
import {
  attemptedIn,
  type Cell,
  type Lane,
  lanesWithChange,
  lanesWithoutChange,
  type Moment,
  moments,
} from "./matrix.ts";
import { orgs, type Place, topicOf } from "./rights.ts";
import { type Actor, observerOf, Scene, textOf } from "./scene.ts";
import { Turns } from "./turns.ts";

/** What came of a cell, or what is to come of it. */
export interface Outcome {
  readonly answer: string;
  readonly isDelivered: boolean;
  /** Type, topic and check of each event about the actor, in the order of the alphabet. */
  readonly events: readonly string[];
}

export interface Played {
  readonly cell: Cell;
  readonly expected: Outcome;
  /** An error where the cell could not be played to its end. */
  readonly actual: Outcome | Error;
}

interface Take {
  readonly cell: Cell;
  readonly lane: Lane;
  readonly actor: Actor;
  readonly asked: string;
  readonly sample: string | undefined;
  readonly payload: string;
  result?: { readonly answer: string; readonly isDelivered?: boolean } | Error;
}

/** Connections of a tenant's service that may do everything. */
interface Helpers {
  readonly source: RawClient;
  readonly watcher: RawClient;
}

/** How many lanes are played at once. */
const atOnce = 8;

const roles = `
topics: { schema: off }
tenants: { hospital: {}, clinic: {} }
roles:
  observer:
    publish: [{ filter: "{org}/#", retain: allowed }]
    subscribe: ["{org}/#", "$SYS/#"]
  device:
    publish:
      - { filter: "+/{site}/{ward}/device/{id}/telemetry", retain: allowed }
      - { filter: "+/{site}/{ward}/device/{id}/alarm", retain: allowed }
    subscribe: ["+/{site}/{ward}/device/{id}/command"]
  service:
    publish:
      - { filter: "+/north/icu/device/{id}/telemetry", retain: allowed }
      - { filter: "+/north/icu/device/{id}/alarm", retain: allowed }
    subscribe: ["+/north/icu/device/{id}/command"]
bindings:
  - { role: observer, to: "service:observer-hospital" }
  - { role: observer, to: "service:observer-clinic" }
`;

/** Plays every cell of the matrix against one deployment. */
export async function playMatrix(): Promise<Played[]> {
  await using deployment = await startDeployment({
    policy: roles,
    services: orgs.map((org) => ({ name: observerOf(org), org })),
    devices: 0,
  });
  const stage = new MatrixStage(deployment);
  await stage.open();
  await stage.play(lanesWithoutChange());
  for (const moment of moments) await stage.play(lanesWithChange(moment), moment);
  return await stage.close();
}

class MatrixStage {
  readonly #deployment: Deployment;
  readonly #bound = new Map<string, Actor["kind"]>();
  readonly #takes: Take[] = [];
  /** By the name of the service. */
  readonly #helpers = new Map<string, Helpers>();
  readonly #sourceTurns = new Turns(1);
  #cells = 0;

  constructor(deployment: Deployment) {
    this.#deployment = deployment;
  }

  async open(): Promise<void> {
    for (const org of orgs) {
      const service = observerOf(org);
      const source = await this.#connect(service, "source");
      const watcher = await this.#connect(service, "watcher");
      assert.equal(await watcher.subscribe(`${org}/#`, { qos: 0 }), 0);
      this.#helpers.set(service, { source, watcher });
    }
  }

  async play(lanes: readonly Lane[], moment?: Moment): Promise<void> {
    const turns = new Turns(atOnce);
    const actors = await Promise.all(
      lanes.map((lane) => turns.during(() => this.#makeActor(lane))),
    );
    await this.#usePolicy();
    const halves = lanes.map((lane, i) => this.#playLane(lane, actors[i] as Actor, turns));
    if (moment !== undefined) {
      await Promise.all(halves.map(({ half }) => half));
      const lost = actors.filter((_, i) => lanes[i]?.cells.some(({ isLost }) => isLost));
      await this.#change(moment, lost);
      for (const { goOn } of halves) goOn();
    } else for (const { goOn } of halves) goOn();
    await Promise.all(halves.map(({ end }) => end));
    for (const { client } of actors) client?.drop();
  }

  /** Compares what was seen with what was to be seen; the events are complete by then. */
  async close(): Promise<Played[]> {
    const seen = await this.#watched();
    const events = await settledEvents(this.#deployment, this.#helpersOf(orgs[0]).source);
    for (const { source, watcher } of this.#helpers.values()) {
      source.drop();
      watcher.drop();
    }
    return this.#takes.map((take) => ({
      cell: take.cell,
      expected: expectationOf(take),
      actual: outcomeOf(take, seen, events),
    }));
  }

  /** Plays the cells of a lane in turn; `half` settles where its first cell waits for the change. */
  #playLane(lane: Lane, actor: Actor, turns: Turns) {
    const half = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const change = async () => {
      half.resolve();
      await turns.without(() => gate.promise);
    };
    const end = turns
      .during(async () => {
        for (const cell of lane.cells) await this.#playCell(lane, cell, actor, change);
      })
      .finally(() => half.resolve());
    return { half: half.promise, goOn: gate.resolve, end };
  }

  async #playCell(lane: Lane, cell: Cell, actor: Actor, change: () => Promise<void>) {
    this.#cells += 1;
    const payload = `cell-${this.#cells}`;
    const place = placeOf(lane, actor);
    const { asked, sample } = attemptedIn(lane, cell, place);
    const take: Take = { cell, lane, actor, asked, sample, payload };
    this.#takes.push(take);
    const scene = new Scene({
      version: lane.version,
      payload,
      asked,
      sample,
      granted: topicOf({ ...place, channel: "alarm" }),
      actor,
      deployment: this.#deployment,
      publishSample: (topic, ...message) =>
        this.#sourceTurns.during(() => this.#helpersOf(topic).source.publish(topic, ...message)),
      change,
    });
    try {
      take.result = await lane.path.play(scene);
    } catch (error) {
      take.result = error instanceof Error ? error : new Error(String(error));
    }
    scene.end();
  }

  async #makeActor({ kind, org }: Lane): Promise<Actor> {
    const { command } = this.#deployment;
    const name = kind === "device" ? randomUUID() : `gateway-${this.#bound.size}`;
    this.#bound.set(`${kind}:${name}`, kind);
    const added: SubjectSummary =
      kind === "device"
        ? await command("device.add", { org, site: "north", ward: "icu", id: name })
        : await command("service.add", { name, org });
    const { key, request } = await newCertificateRequest();
    const subject = added.id;
    const issued = await command("credential", { subject, certificateRequest: request });
    const { certificateChain: cert, trustAnchors: ca } = issued;
    return { id: subject, name, kind, credential: { subject, key, cert, ca } };
  }

  async #change(moment: Moment, lost: readonly Actor[]): Promise<void> {
    if (moment === "policy") {
      for (const { id } of lost) this.#bound.delete(id);
      await this.#usePolicy();
      return;
    }
    for (const { id } of lost) await this.#deployment.command("revoke", { subject: id });
  }

  /** Writes the policy with a binding for each actor that has rights; the broker has applied it when this returns. */
  async #usePolicy(): Promise<void> {
    const bindings = [...this.#bound].map(([id, role]) => `  - { role: ${role}, to: "${id}" }\n`);
    await writeFile(join(this.#deployment.directory, "policy.yaml"), roles + bindings.join(""));
    await this.#deployment.command("reload", {});
    // A change is answered when the broker has applied it, and all that came before it.
    await this.#makeMarker();
  }

  #markers = 0;
  async #makeMarker(): Promise<void> {
    this.#markers += 1;
    const { id } = await this.#deployment.command("service.add", {
      name: `marker-${this.#markers}`,
    });
    await this.#deployment.command("revoke", { subject: id });
  }

  /** The payloads of all messages that reached somebody who reads every topic. */
  async #watched(): Promise<ReadonlySet<string>> {
    const seen = new Set<string>();
    for (const org of orgs) {
      const { source, watcher } = this.#helpersOf(org);
      const end = `the end of ${org}`;
      await source.publish(`${org}/the-end`, end, { qos: 1 });
      while (!seen.has(end)) seen.add(textOf(await watcher.take("PUBLISH")));
    }
    return seen;
  }

  async #connect(service: string, name: string): Promise<RawClient> {
    const { mqtts, credential } = this.#deployment;
    const client = new RawClient(tlsWire(await openTls(mqtts, credential(service))), 5);
    await client.connect({ clientId: `${service}-${name}`, keepAlive: 600 });
    return client;
  }

  #helpersOf(topic: string): Helpers {
    const helpers = this.#helpers.get(observerOf(topic));
    if (helpers === undefined) throw new Error("the stage is not open");
    return helpers;
  }
}

function placeOf({ act, org }: Lane, { name }: Actor): Place {
  return { org, site: "north", ward: "icu", id: name, channel: act.channel };
}

function expectationOf({ cell, lane, asked, sample }: Take): Outcome {
  const { path, version, act } = lane;
  const { refusal } = cell;
  if (refusal === undefined) return { answer: path.permitted, isDelivered: true, events: [] };
  const topicOfEvent = (type: string) =>
    type === "delivery-denied" && act.name === "subscribe"
      ? (sample ?? "")
      : judgedTopic(lane, asked);
  return {
    answer: version === 5 ? refusal.v5 : refusal.v3,
    isDelivered: false,
    events: refusal.events
      .map((type) => (type === "subject-revoked" ? type : `${type} ${topicOfEvent(type)} policy`))
      .sort(),
  };
}

/** What the policy is asked about: the filter that is shared, without how it is shared. */
function judgedTopic({ act }: Lane, asked: string): string {
  return act.name === "subscribe" ? asked.replace(/^\$share\/[^/]+\//, "") : asked;
}

const judged = new Set<string>([
  "publish-denied",
  "subscribe-denied",
  "will-denied",
  "delivery-denied",
  "subject-revoked",
]);

function outcomeOf(
  { cell, lane, actor, asked, payload, result }: Take,
  seen: ReadonlySet<string>,
  events: readonly SecurityEvent[],
): Outcome | Error {
  if (result === undefined) return new Error("the cell was not played");
  if (result instanceof Error) return result;
  const ours = events.filter(
    ({ type, subject, topic }) =>
      judged.has(type) &&
      subject === actor.id &&
      // Actors of lanes without a change play several cells; each of these has a topic of its own.
      (cell.moment !== undefined || topic === judgedTopic(lane, asked)),
  );
  return {
    answer: result.answer,
    isDelivered: result.isDelivered ?? seen.has(payload),
    events: ours
      .flatMap(({ type, topic, check, count = 1 }) =>
        Array<string>(count).fill([type, topic, check].filter(Boolean).join(" ")),
      )
      .sort(),
  };
}
