import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Admission, type Arrival } from "@wardmq/tls";
import fc from "fast-check";
import { FlowRate } from "../src/connection/flow-rate.ts";
import { settings } from "./broker-parts.ts";

const { limits } = settings;

describe("FlowRate", () => {
  const perSecond = { messages: 100, bytes: 10_000 };
  const reads = fc.array(
    fc.record({ messages: fc.nat(80), bytes: fc.nat(9_000), laterMs: fc.nat(400) }),
    { maxLength: 60, size: "max" },
  );

  function rate(now: () => number): FlowRate {
    return new FlowRate(
      { messagesPerSecond: perSecond.messages, bytesPerSecond: perSecond.bytes },
      now,
    );
  }

  test("never lets more through than the rate, a second's worth and one read, when pauses are kept", () => {
    fc.assert(
      fc.property(reads, (all) => {
        let now = 5_000;
        const flow = rate(() => now);
        const taken = { messages: 0, bytes: 0 };
        for (const { messages, bytes, laterMs } of all) {
          now += laterMs;
          taken.messages += messages;
          taken.bytes += bytes;
          const elapsed = (now - 5_000) / 1_000 + 1e-9; // rounding
          assert.ok(taken.messages <= perSecond.messages * (elapsed + 1) + messages);
          assert.ok(taken.bytes <= perSecond.bytes * (elapsed + 1) + bytes);
          now += flow.take(messages, bytes);
        }
      }),
    );
  });

  test("never pauses a connection that keeps to the rate", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 80, size: "max" }), (amounts) => {
        let now = 0;
        const flow = rate(() => now);
        for (const amount of amounts) {
          assert.ok(flow.take(amount, amount * 100) <= 1); // a millisecond by rounding
          now += (amount * 1_000) / perSecond.messages;
        }
      }),
    );
  });

  test("pauses as long as the slower of the two takes to refill", () => {
    const flow = rate(() => 0);
    assert.equal(flow.take(100, 10_000), 0);
    assert.equal(flow.take(10, 0), 100);
    assert.equal(flow.take(0, 5_000), 500);
  });

  test("keeps to new rates at once, and owes what it owed", () => {
    const flow = rate(() => 0);
    flow.use({ messagesPerSecond: 10, bytesPerSecond: 10_000 });
    assert.equal(flow.take(10, 0), 0);
    assert.equal(flow.take(1, 0), 100);
    flow.use({ messagesPerSecond: 100, bytesPerSecond: 10_000 });
    assert.equal(flow.take(0, 0), 10);
  });

  test("holds no more than one second's worth after any silence", () => {
    let now = 0;
    const flow = rate(() => now);
    flow.take(101, 0);
    now += 3_600_000;
    assert.equal(flow.take(0, 0), 0);
    assert.equal(flow.take(101, 0), 10);
  });
});

describe("Admission", () => {
  function admission(changes: Partial<typeof limits> = {}) {
    let now = 0;
    const all = { ...limits, acceptsPerSecond: 1_000_000, ...changes };
    const door = new Admission(
      () => all,
      () => now,
    );
    return { door, later: (ms: number) => (now += ms) };
  }

  test("refuses what comes faster than acceptsPerSecond, and lets in again when time has passed", () => {
    const { door, later } = admission({ acceptsPerSecond: 3 });
    const arrive = () => door.arrived("192.0.2.1");
    assert.deepEqual([arrive(), arrive(), arrive()], [undefined, undefined, undefined]);
    assert.equal(arrive(), "acceptsPerSecond");
    later(334);
    assert.deepEqual([arrive(), arrive()], [undefined, "acceptsPerSecond"]);
    later(3_600_000);
    assert.deepEqual(
      [arrive(), arrive(), arrive(), arrive()].filter((each) => each === undefined).length,
      3,
    );
  });

  test("refuses the connection beyond connections, and beyond connectionsPerAddress of one address", () => {
    const { door } = admission({ connections: 3, connectionsPerAddress: 2 });
    assert.equal(door.arrived("192.0.2.1"), undefined);
    assert.equal(door.arrived("192.0.2.1"), undefined);
    assert.equal(door.arrived("192.0.2.1"), "connectionsPerAddress");
    assert.equal(door.arrived("192.0.2.2"), undefined);
    assert.equal(door.arrived("192.0.2.3"), "connections");
    door.left("192.0.2.1");
    assert.equal(door.open, 2);
    assert.equal(door.arrived("192.0.2.1"), undefined);
  });

  test("counts a network of IPv6 as one address, and its neighbours apart", () => {
    const { door } = admission({ connectionsPerAddress: 2 });
    assert.equal(door.arrived("2001:db8:0:1::1"), undefined);
    assert.equal(door.arrived("2001:db8:0:1:ffff:ffff:ffff:ffff"), undefined);
    assert.equal(door.arrived("2001:db8::1:0:0:0:2"), "connectionsPerAddress");
    assert.equal(door.arrived("2001:db8:0:2::1"), undefined);
    assert.equal(door.arrived("::1"), undefined);
    assert.equal(door.arrived("::ffff:192.0.2.1"), undefined);
    assert.equal(door.arrived("::ffff:192.0.2.2"), undefined);
    door.left("2001:db8:0:1::1");
    assert.equal(door.arrived("2001:db8:0:1::9"), undefined);
  });

  test("makes way for a familiar address at the cost of the oldest stranger, never of another familiar one", () => {
    const { door } = admission({ handshakes: 2 });
    const closed: string[] = [];
    const begin = (address: string): Arrival | string => {
      const limit = door.arrived(address);
      return limit ?? door.handshakeBegins(address, () => closed.push(address));
    };
    door.becomesFamiliar("192.0.2.1");
    door.becomesFamiliar("192.0.2.2");
    begin("198.51.100.1");
    begin("198.51.100.2");
    assert.equal(begin("198.51.100.3"), "handshakes");
    assert.equal(typeof begin("192.0.2.1"), "object");
    assert.equal(typeof begin("192.0.2.2"), "object");
    assert.deepEqual(closed, ["198.51.100.1", "198.51.100.2"]);
    assert.equal(begin("192.0.2.1"), "handshakes");
    assert.equal(closed.length, 2);
  });

  test("counts handshakes and connections back to nothing, in any order", () => {
    const steps = fc.array(fc.record({ arrives: fc.boolean(), which: fc.nat(3) }), {
      maxLength: 60,
      size: "max",
    });
    fc.assert(
      fc.property(steps, (all) => {
        const { door } = admission({ connections: 6, connectionsPerAddress: 3, handshakes: 4 });
        const open: { address: string; arrival: Arrival }[] = [];
        for (const { arrives, which } of all) {
          const address = `192.0.2.${which}`;
          if (arrives) {
            const same = open.filter((each) => each.address === address).length;
            const limit = door.arrived(address);
            if (open.length >= 6) assert.equal(limit, "connections");
            else if (same >= 3) assert.equal(limit, "connectionsPerAddress");
            if (limit === undefined)
              open.push({ address, arrival: door.handshakeBegins(address, () => {}) });
          } else {
            const [gone] = open.splice(which, 1);
            if (gone === undefined) continue;
            door.handshakeEnded(gone.arrival);
            door.left(gone.address);
          }
          assert.equal(door.open, open.length);
        }
        for (const { address, arrival } of open) {
          door.handshakeEnded(arrival);
          door.left(address);
        }
        const again = [0, 0, 0].map(() => door.arrived("192.0.2.0"));
        assert.deepEqual([door.open, ...again], [3, undefined, undefined, undefined]);
      }),
    );
  });
});
