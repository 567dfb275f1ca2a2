import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SubjectState } from "../src/enforcement/subjects.ts";
import { ApplicationMessage } from "../src/routing/application-message.ts";
import { RetainedMessages } from "../src/routing/retained-messages.ts";
import { SharedGroup } from "../src/routing/shared-group.ts";
import type { Subscription } from "../src/routing/subscription.ts";
import { SubscriptionTree } from "../src/routing/subscription-tree.ts";
import { Topic } from "../src/routing/topic.ts";
import type { Session } from "../src/session/session.ts";
import { serviceRecord } from "./broker-parts.ts";
import { matches, topicFilter, topicName } from "./topics.ts";

const publisher = new SubjectState(serviceRecord("publisher"));

function message(topic: string, payload: string): ApplicationMessage {
  const bytes = Buffer.from(payload);
  const made = new ApplicationMessage(new Topic(topic), publisher, bytes);
  made.payloadEnd = bytes.length;
  return made;
}

/** Runs `body` and returns every Map that was filled with keys of text meanwhile: the insides of a tree. */
function mapsFilledBy(body: () => void): Map<unknown, unknown>[] {
  const original = Map.prototype.set;
  const filled = new Set<Map<unknown, unknown>>();
  Map.prototype.set = function (key: unknown, value: unknown) {
    if (typeof key === "string") filled.add(this);
    return original.call(this, key, value);
  };
  try {
    body();
  } finally {
    Map.prototype.set = original;
  }
  return [...filled];
}

describe("RetainedMessages", () => {
  const action = fc.record({ topic: topicName, payload: fc.constantFrom("", "1", "22", "333") });

  test("finds what brute force finds, and counts messages and bytes", () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 30, size: "max" }),
        fc.array(topicFilter),
        (actions, filters) => {
          const store = new RetainedMessages();
          const model = new Map<string, ApplicationMessage>();
          for (const { topic, payload } of actions) {
            const put = message(topic, payload);
            if (payload === "") store.remove(topic);
            else store.put(put);
            if (payload === "") model.delete(topic);
            else model.set(topic, put);
            assert.equal(store.get(topic), model.get(topic));
          }
          const kept = [...model.values()];
          assert.equal(store.messages, kept.length);
          assert.equal(
            store.bytes,
            kept.reduce((sum, { size }) => sum + size, 0),
          );
          for (const filter of filters) {
            const expected = kept.filter(({ topic }) => matches(filter, topic.name));
            const found = store.matching(filter);
            assert.equal(found.length, expected.length, filter);
            assert.deepEqual(new Set(found), new Set(expected), filter);
          }
        },
      ),
    );
  });

  test("holds nothing once everything is removed", () => {
    fc.assert(
      fc.property(fc.array(topicName, { maxLength: 20, size: "max" }), (topics) => {
        const store = new RetainedMessages();
        const maps = mapsFilledBy(() => {
          for (const topic of topics) store.put(message(topic, "x"));
          for (const topic of topics) store.remove(topic);
        });
        assert.deepEqual([store.messages, store.bytes], [0, 0]);
        assert.deepEqual(
          maps.filter(({ size }) => size > 0),
          [],
        );
      }),
    );
  });

  test("walks topics and filters of tens of thousands of levels without recursion", () => {
    const store = new RetainedMessages();
    const deep = `a${"/a".repeat(32_000)}`;
    store.put(message(deep, "x"));
    for (const filter of ["#", deep, `+${"/+".repeat(32_000)}`, `${"+/".repeat(16_000)}#`]) {
      assert.equal(store.matching(filter).length, 1);
    }
    store.remove(deep);
    assert.deepEqual(store.matching("#"), []);
  });
});

describe("SubscriptionTree", () => {
  const change = fc.record({
    adds: fc.boolean(),
    session: fc.nat(3),
    filter: topicFilter,
    group: fc.option(fc.constantFrom("g", "h"), { nil: undefined }),
  });
  const sessions = [0, 1, 2, 3].map((id) => ({ id }) as unknown as Session);

  function subscription(filter: string, group: string | undefined): Subscription {
    const whole = group === undefined ? filter : `$share/${group}/${filter}`;
    const rest = { qos: 1, noLocal: false, retainAsPublished: false, identifier: 0 } as const;
    return { filter: whole, topicFilter: filter, group, ...rest };
  }

  test("finds what brute force finds after any changes, and holds nothing once they are undone", () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 30, size: "max" }),
        fc.array(topicName),
        (changes, names) => {
          const model = new Map<string, readonly [Session, Subscription]>();
          const tree = new SubscriptionTree();
          const maps = mapsFilledBy(() => {
            for (const { adds, session: index, filter, group } of changes) {
              const session = sessions[index] as Session;
              const each = subscription(filter, group);
              const key = `${index} ${each.filter}`;
              if (adds) tree.add(session, each);
              else tree.remove(session, each);
              if (adds) model.set(key, [session, each]);
              else model.delete(key);
            }
            for (const name of names) checkMatch(tree, [...model.values()], name);
            for (const [session, each] of model.values()) tree.remove(session, each);
            model.clear();
          });
          assert.deepEqual(
            maps.filter(({ size }) => size > 0),
            [],
          );
        },
      ),
    );
  });

  function checkMatch(
    tree: SubscriptionTree,
    all: readonly (readonly [Session, Subscription])[],
    name: string,
  ): void {
    const found: string[] = [];
    const show = (session: Session, { filter }: Subscription) =>
      `${(session as unknown as { id: number }).id} ${filter}`;
    tree.match(
      name,
      (session, each) => found.push(show(session, each)),
      (group) => {
        for (const [session, each] of group.members) found.push(show(session, each));
      },
    );
    const expected = all.filter(([, each]) => matches(each.topicFilter, name));
    assert.deepEqual(found.sort(), expected.map(([session, each]) => show(session, each)).sort());
  }

  test("walks names of tens of thousands of levels without recursion", () => {
    const tree = new SubscriptionTree();
    const deep = `a${"/a".repeat(32_000)}`;
    const filters = ["#", deep, `${"a/".repeat(31_000)}#`];
    for (const filter of filters) tree.add(sessions[0] as Session, subscription(filter, undefined));
    let hits = 0;
    tree.match(
      deep,
      () => {
        hits += 1;
      },
      () => {},
    );
    assert.equal(hits, filters.length);
  });
});

describe("SharedGroup", () => {
  const member = (isReady: boolean, isConnected: boolean) =>
    ({
      canSendNow: () => isReady && isConnected,
      connection: isConnected ? {} : undefined,
    }) as unknown as Session;

  const share = { filter: "", topicFilter: "", group: "g", qos: 1 } as unknown as Subscription;

  test("has nobody to choose when it is empty", () => {
    const group = new SharedGroup("$share/g/a");
    assert.equal(group.choose(), undefined);
    const session = member(true, true);
    group.add(session, share);
    group.remove(session);
    assert.equal(group.choose(), undefined);
  });

  test("chooses those who can take a message now in turn, else the connected, else those who wait", () => {
    const kinds = fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(kinds, fc.nat(20), (members, start) => {
        const group = new SharedGroup("$share/g/a");
        const sessions = members.map(([isReady, isConnected]) => member(isReady, isConnected));
        for (const session of sessions) group.add(session, share);
        for (let i = 0; i < start; i += 1) group.choose();
        const rounds = 5;
        const ready = sessions.filter((session) => session.canSendNow());
        const connected = sessions.filter(({ connection }) => connection !== undefined);
        const candidates = ready.length > 0 ? ready : connected.length > 0 ? connected : sessions;
        const counts = new Map(candidates.map((session) => [session, 0]));
        for (let i = 0; i < rounds * candidates.length; i += 1) {
          const chosen = group.choose() as Session;
          assert.ok(counts.has(chosen), "a better one is there");
          counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
        }
        if (ready.length === 0) return; // whom nobody can reach now may wait unequally
        for (const count of counts.values()) assert.equal(count, rounds);
      }),
    );
  });
});
