import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeVariableByteInteger, type QoS, variableByteIntegerLength } from "@wardmq/mqtt";
import fc from "fast-check";
import { ApplicationMessage } from "../src/routing/application-message.ts";
import type { Topic } from "../src/routing/topic.ts";
import type { Session } from "../src/session/session.ts";
import type { SessionConnection } from "../src/session/session-connection.ts";
import { BrokerParts } from "./broker-parts.ts";
import { topicFilter as anyFilter, topicName as anyName, matches } from "./topics.ts";

const clients = 4;

/** What each client may read in the two policies that are tried in turn. */
const policies = [
  `
topics: { schema: off }
roles:
  all: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#", "$SYS/#"] }
bindings:
  - { role: all, to: "service:*" }
`,
  `
topics: { schema: off }
roles:
  all: { publish: [{ filter: "#", retain: allowed }], subscribe: ["#", "$SYS/#"] }
  some: { publish: ["a/#"], subscribe: ["a/#"] }
bindings:
  - { role: all, to: "service:c0" }
  - { role: all, to: "service:c1" }
  - { role: some, to: "service:c2" }
  - { role: some, to: "service:c3" }
`,
] as const;

function mayRead(client: number, name: string, policy: number): boolean {
  if (policy === 0 || client < 2) {
    return ["#", "$SYS/#"].some((filter) => matches(filter, name));
  }
  return matches("a/#", name);
}

/** A filter is allowed as a whole or not at all. */
function maySubscribe(client: number, filter: string, policy: number): boolean {
  if (policy === 0 || client < 2) return !/^\$(?!SYS(\/|$))/.test(filter);
  return /^a($|\/)/.test(filter);
}

type Action =
  | {
      readonly type: "subscribe";
      readonly client: number;
      readonly filter: string;
      readonly qos: QoS;
      readonly noLocal: boolean;
      readonly retainAsPublished: boolean;
      readonly identifier: number;
    }
  | { readonly type: "unsubscribe"; readonly client: number; readonly which: number }
  | { readonly type: "end"; readonly client: number }
  | { readonly type: "policy"; readonly which: number }
  | {
      readonly type: "publish";
      readonly client: number;
      readonly topic: string;
      readonly qos: QoS;
      readonly retain: boolean;
      readonly isEmpty: boolean;
    };

const client = fc.nat(clients - 1);
/** Mostly a few, so that the same are met again after a change. */
const topicName = fc.oneof(anyName, fc.constantFrom("a", "a/b", "b"));
const topicFilter = fc.oneof(anyFilter, fc.constantFrom("a", "a/b", "b", "a/#", "+/b", "#"));
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const one = <Name extends string>(name: Name) => fc.constant(name);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: one("subscribe"),
      client,
      filter: topicFilter,
      qos,
      noLocal: fc.boolean(),
      retainAsPublished: fc.boolean(),
      identifier: fc.constantFrom(0, 1, 127, 128, 268_435_455),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: one("unsubscribe"), client, which: fc.nat(5) }),
  },
  { weight: 1, arbitrary: fc.record({ type: one("end"), client }) },
  { weight: 1, arbitrary: fc.record({ type: one("policy"), which: fc.nat(1) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: one("publish"),
      client,
      topic: topicName,
      qos,
      retain: fc.boolean(),
      isEmpty: fc.boolean(),
    }),
  },
);

describe("Router", () => {
  test("delivers what a naive model delivers, after any changes of subscriptions, sessions and policy", () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 40, size: "max" }),
        fc.constantFrom(2, 1_000),
        (actions, remembered) => {
          new Comparison(remembered).run(actions);
        },
      ),
      { numRuns: 300 },
    );
  });
});

interface Delivery {
  readonly client: number;
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly identifiers: readonly number[];
}

type Subscribed = Extract<Action, { type: "subscribe" }>;

class Comparison {
  readonly #parts: BrokerParts;
  readonly #sessions: (Session | undefined)[] = Array.from({ length: clients });
  readonly #subscriptions: Map<string, Subscribed>[] = Array.from(
    { length: clients },
    () => new Map(),
  );
  readonly #retained = new Map<string, { payload: string; qos: QoS }>();
  readonly #topics = new Map<string, Topic>();
  #policy = 0;
  #got: Delivery[] = [];
  #serial = 0;

  constructor(rememberedTopics: number) {
    this.#parts = new BrokerParts({ policy: policies[0], rememberedTopics });
  }

  run(actions: readonly Action[]): void {
    for (const each of actions) {
      this.#got = [];
      const expected = this.#act(each);
      assert.deepEqual(this.#got.map(show).sort(), expected.map(show).sort(), JSON.stringify(each));
    }
    for (const session of this.#sessions)
      if (session !== undefined) this.#parts.sessions.end(session);
    assert.equal(this.#parts.budget.state, 0);
    assert.equal(this.#parts.budget.queued, 0);
  }

  #act(action: Action): Delivery[] {
    switch (action.type) {
      case "subscribe":
        return this.#subscribe(action);
      case "unsubscribe":
        return this.#unsubscribe(action.client, action.which);
      case "end":
        return this.#end(action.client);
      case "policy":
        return this.#changePolicy(action.which);
      case "publish":
        return this.#publish(action);
    }
  }

  /** As a publisher holds on to its topics, though the router may have forgotten them. */
  #topic(name: string): Topic {
    const topic = this.#topics.get(name) ?? this.#parts.router.topic(name);
    this.#topics.set(name, topic);
    return topic;
  }

  #session(index: number): Session {
    const existing = this.#sessions[index];
    if (existing !== undefined) return existing;
    const subject = this.#parts.service(`c${index}`);
    const { session } = this.#parts.sessions.open(subject, `c${index}`, true);
    session.window = 65_535;
    session.connection = this.#connection(index);
    this.#sessions[index] = session;
    return session;
  }

  #connection(index: number): SessionConnection {
    return {
      address: "192.0.2.1",
      isCongested: false,
      isTooLarge: () => false,
      sendPublish: (message, qos, retain, _dup, _id, identifiers) => {
        this.#got.push({
          client: index,
          topic: message.topic.name,
          payload: message.bytes.toString("utf8", message.payloadStart, message.payloadEnd),
          qos,
          retain,
          identifiers: decodeIdentifiers(identifiers),
        });
        return true;
      },
      hold: () => true,
      sendPubrel() {},
      disconnect() {},
    };
  }

  #subscribe(action: Subscribed): Delivery[] {
    const { client: index, filter } = action;
    const session = this.#session(index);
    const requester = { subject: session.subject, clientId: session.clientId };
    const allowed =
      this.#parts.enforcement.authorizeSubscribe(requester, filter).effect === "Permit";
    assert.equal(allowed, maySubscribe(index, filter, this.#policy), filter);
    if (!allowed) return [];
    const subscription = {
      filter,
      topicFilter: filter,
      group: undefined,
      qos: action.qos,
      noLocal: action.noLocal,
      retainAsPublished: action.retainAsPublished,
      identifier: action.identifier,
    };
    this.#parts.sessions.subscribe(session, subscription);
    this.#subscriptions[index]?.set(filter, action);
    this.#parts.router.sendRetained(session, subscription);
    return [...this.#retained]
      .filter(([topic]) => matches(filter, topic))
      .map(([topic, { payload, qos: kept }]) => ({
        client: index,
        topic,
        payload,
        qos: Math.min(kept, action.qos) as QoS,
        retain: true,
        identifiers: action.identifier === 0 ? [] : [action.identifier],
      }));
  }

  #unsubscribe(index: number, which: number): Delivery[] {
    const session = this.#session(index);
    const filter = [...(this.#subscriptions[index]?.keys() ?? [])][which] ?? "none";
    const existed = this.#subscriptions[index]?.delete(filter) === true;
    assert.equal(this.#parts.sessions.unsubscribe(session, filter), existed);
    return [];
  }

  #end(index: number): Delivery[] {
    const session = this.#sessions[index];
    if (session !== undefined) this.#parts.sessions.end(session);
    this.#sessions[index] = undefined;
    this.#subscriptions[index]?.clear();
    return [];
  }

  #changePolicy(which: number): Delivery[] {
    this.#policy = which;
    this.#parts.usePolicy(policies[which] ?? "");
    for (const [index, subscriptions] of this.#subscriptions.entries()) {
      for (const filter of [...subscriptions.keys()]) {
        if (!maySubscribe(index, filter, which)) subscriptions.delete(filter);
      }
    }
    return [];
  }

  #publish({
    client: index,
    topic,
    qos: sent,
    retain,
    isEmpty,
  }: Extract<Action, { type: "publish" }>): Delivery[] {
    const { enforcement, router } = this.#parts;
    // Who publishes is asked before the router is: the open policy allows it, except to names that begin with `$`.
    const publisher = this.#parts.service("c0");
    if (enforcement.decidePublish(publisher, topic).effect === "Deny") {
      assert.ok(topic.startsWith("$"), topic);
      return [];
    }
    this.#serial += 1;
    const payload = isEmpty ? "" : `message ${this.#serial}`;
    const bytes = Buffer.from(payload);
    const message = new ApplicationMessage(this.#topic(topic), publisher, bytes);
    message.qos = sent;
    message.retain = retain;
    message.payloadEnd = bytes.length;
    const origin = this.#session(index);
    const receivers = router.publish(message, origin);
    if (retain && isEmpty) this.#retained.delete(topic);
    else if (retain) this.#retained.set(topic, { payload, qos: sent });
    const expected = this.#subscriptions.flatMap((_, receiver) => {
      const found = [...(this.#subscriptions[receiver]?.values() ?? [])]
        .filter(({ filter }) => matches(filter, topic) && mayRead(receiver, topic, this.#policy))
        .filter(({ noLocal }) => !(noLocal && receiver === index));
      if (found.length === 0) return [];
      return [
        {
          client: receiver,
          topic,
          payload,
          qos: Math.min(sent, Math.max(...found.map(({ qos }) => qos))) as QoS,
          retain: retain && found.some(({ retainAsPublished }) => retainAsPublished),
          identifiers: found.map(({ identifier }) => identifier).filter((each) => each > 0),
        },
      ];
    });
    assert.equal(receivers, expected.length);
    return expected;
  }
}

function show(delivery: Delivery): string {
  return JSON.stringify({ ...delivery, identifiers: [...delivery.identifiers].sort() });
}

function decodeIdentifiers(encoded: Buffer | undefined): number[] {
  const identifiers: number[] = [];
  for (let at = 0; encoded !== undefined && at < encoded.length; ) {
    assert.equal(encoded[at], 0x0b);
    const identifier = decodeVariableByteInteger(encoded, at + 1, encoded.length);
    identifiers.push(identifier);
    at += 1 + variableByteIntegerLength(identifier);
  }
  return identifiers;
}
