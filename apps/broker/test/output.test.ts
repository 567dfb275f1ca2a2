import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { MemoryBudget } from "../src/connection/memory-budget.ts";
import { type CommitGate, Flusher, Output } from "../src/connection/output.ts";
import type { Transport } from "../src/door/transport.ts";
import { fail, withImmediates } from "./timers.ts";

const outputs = 3;

type Action =
  | {
      readonly type: "send";
      readonly which: number;
      readonly bytes: number;
      readonly inRoom: boolean;
    }
  | { readonly type: "turn" }
  /** The system takes part of what the transport holds; nobody is told. */
  | { readonly type: "progress"; readonly which: number; readonly share: number }
  | { readonly type: "drain"; readonly which: number }
  /** What follows has to wait for one more commit. */
  | { readonly type: "hold"; readonly which: number }
  | { readonly type: "commit" }
  | { readonly type: "finish" | "discard"; readonly which: number };

const which = fc.nat(outputs - 1);
const size = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.constantFrom(4_095, 4_096, 4_097, 65_535, 65_536, 65_537),
  fc.integer({ min: 1, max: 90_000 }),
);
const one = <Name extends string>(name: Name) => fc.constant(name);
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: one("send"), which, bytes: size, inRoom: fc.boolean() }),
  },
  { weight: 3, arbitrary: fc.record({ type: one("turn") }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: one("progress"),
      which,
      share: fc.double({ min: 0, max: 0.99, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: one("drain"), which }) },
  { weight: 2, arbitrary: fc.record({ type: one("hold"), which }) },
  { weight: 2, arbitrary: fc.record({ type: one("commit") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("finish", "discard"), which }) },
);

describe("Output", () => {
  test("lets every byte out once and in order, whatever the transport does, and counts what waits", () => {
    fc.assert(
      fc.property(
        fc.array(action, { maxLength: 60, size: "max" }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
        (actions, blocks) => withImmediates((turn) => runActions(actions, blocks, turn)),
      ),
      { numRuns: 500 },
    );
  });

  test("lets nothing out before the commit it waits for, nor what follows it, and the last words too", () => {
    withImmediates((turn) => {
      const gate = new Gate();
      const transport = new FakeTransport([false]);
      const output = new Output(transport, new Flusher(fail), new MemoryBudget(0), gate);
      const send = (text: string) => output.send(Buffer.from(text));
      send("a");
      turn();
      output.hold(gate.say());
      send("b");
      turn();
      send("c");
      turn();
      output.hold(gate.say());
      send("d");
      assert.equal(output.isHeld, true);
      let isFinished = false;
      output.finish(() => {
        isFinished = true;
      });
      transport.drain();
      assert.equal(transport.bytes().toString(), "a");
      gate.commit();
      transport.drain();
      assert.equal(transport.bytes().toString(), "abc");
      assert.equal(isFinished, false);
      gate.commit();
      transport.drain();
      assert.equal(transport.bytes().toString(), "abcd");
      assert.equal(isFinished, true);
    });
  });

  test("forgets what waits for a commit that does not come, and nothing before it", () => {
    withImmediates((turn) => {
      const gate = new Gate();
      const transport = new FakeTransport([true]);
      const budget = new MemoryBudget(0);
      const output = new Output(transport, new Flusher(fail), budget, gate);
      output.send(Buffer.from("a"));
      turn();
      output.send(Buffer.alloc(70_000, "b"));
      output.hold(gate.say());
      output.send(Buffer.alloc(70_000, "c"));
      output.send(Buffer.from("c"));
      output.discardHeld();
      output.send(Buffer.from("d"));
      output.finish(() => {});
      transport.drain();
      const text = transport.bytes().toString();
      assert.equal(text[0], "a");
      assert.equal(text.includes("c"), false);
      assert.equal(text.at(-1), "d");
      assert.equal(budget.output, 0);
    });
  });

  test("says how much waits behind a peer that does not read, and nothing while it reads", () => {
    withImmediates((turn) => {
      const { transport, output, budget } = one1([true]);
      output.send(Buffer.alloc(1_000));
      assert.equal(output.blockedBytes, 0);
      turn();
      assert.equal(output.isBlocked, true);
      output.send(Buffer.alloc(200_000));
      output.send(Buffer.alloc(70_000));
      assert.equal(output.blockedBytes, 271_000);
      assert.equal(budget.output, 200_000);
      transport.drain();
      output.drained();
      transport.drain();
      output.drained();
      transport.drain();
      output.drained();
      assert.equal(output.blockedBytes, output.isBlocked ? transport.pendingBytes : 0);
      assert.equal(budget.output, 0);
    });
  });

  test("leaves for the others when the transport of one throws, and says so", () => {
    withImmediates((turn) => {
      const failures: unknown[] = [];
      const flusher = new Flusher((error) => void failures.push(error));
      const mistake = new Error("a mistake of ours");
      const transports = [false, true, false].map((throws) => {
        const transport = new FakeTransport([false]);
        if (throws) {
          transport.write = () => {
            throw mistake;
          };
        }
        new Output(transport, flusher, new MemoryBudget(0), nothingWaits).send(Buffer.alloc(10));
        return transport;
      });
      turn();
      assert.deepEqual(failures, [mistake]);
      assert.deepEqual(
        transports.map(({ pendingBytes }) => pendingBytes),
        [10, 0, 10],
      );
    });
  });
});

/** No journal: nothing is held back. */
const nothingWaits = { committed: 0, whenCommitted: fail };

/** A journal that commits when the test says so. */
class Gate implements CommitGate {
  committed = 0;
  said = 0;
  #waiters: { committed(): void }[] = [];

  say(): number {
    this.said += 1;
    return this.said;
  }

  whenCommitted(waiter: { committed(): void }): void {
    this.#waiters.push(waiter);
  }

  commit(): void {
    if (this.committed < this.said) this.committed += 1;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.committed();
  }
}

function one1(blocks: readonly boolean[]) {
  const transport = new FakeTransport(blocks);
  const budget = new MemoryBudget(0);
  return {
    transport,
    budget,
    output: new Output(transport, new Flusher(fail), budget, nothingWaits),
  };
}

function runActions(
  actions: readonly Action[],
  blocks: readonly boolean[],
  turn: () => void,
): void {
  const budget = new MemoryBudget(0);
  const flusher = new Flusher(fail);
  const gate = new Gate();
  const all = Array.from(
    { length: outputs },
    (_, i) => new Sender(i, blocks, flusher, budget, gate),
  );
  for (const each of actions) {
    if (each.type === "turn") turn();
    else if (each.type === "commit") gate.commit();
    else (all[each.which] as Sender).act(each);
    for (const sender of all) sender.check();
  }
  turn();
  while (gate.committed < gate.said) gate.commit();
  for (const sender of all) sender.end();
  assert.equal(budget.output, 0, "the budget returns to 0");
}

/** One output with what was sent through it. */
class Sender {
  readonly #transport: FakeTransport;
  readonly #output: Output;
  readonly #start: number;
  #sent = 0;
  #isEnded = false;
  #isFinished = false;

  readonly #gate: Gate;
  /** Where bytes begin that wait for a commit. */
  readonly #holds: { readonly mark: number; readonly at: number }[] = [];

  constructor(
    index: number,
    blocks: readonly boolean[],
    flusher: Flusher,
    budget: MemoryBudget,
    gate: Gate,
  ) {
    this.#start = index * 85;
    this.#gate = gate;
    this.#transport = new FakeTransport(blocks);
    this.#output = new Output(this.#transport, flusher, budget, gate);
  }

  act(action: Extract<Action, { which: number }>): void {
    if (this.#isEnded) return;
    switch (action.type) {
      case "send":
        this.#send(action.bytes, action.inRoom);
        return;
      case "progress":
        this.#transport.progress(action.share);
        return;
      case "drain":
        if (this.#transport.drain()) this.#output.drained();
        return;
      case "hold": {
        const mark = this.#gate.say();
        this.#output.hold(mark);
        this.#holds.push({ mark, at: this.#sent });
        return;
      }
      case "finish":
        this.#output.finish(() => {});
        this.#isFinished = true;
        this.#isEnded = true;
        return;
      case "discard":
        this.#output.discard();
        this.#isEnded = true;
    }
  }

  #send(bytes: number, inRoom: boolean): void {
    const data = Buffer.alloc(bytes);
    for (let i = 0; i < bytes; i += 1) data[i] = this.#byte(this.#sent + i);
    if (inRoom) {
      const room = this.#output.room(bytes);
      data.copy(room, this.#output.end);
      this.#output.end += bytes;
    } else this.#output.send(data);
    this.#sent += bytes;
  }

  #byte(at: number): number {
    return (this.#start + at * 31 + (at >> 8)) & 0xff;
  }

  check(): void {
    const first = this.#holds.find(({ mark }) => mark > this.#gate.committed);
    const handedOver = this.#transport.received + this.#transport.pendingBytes;
    if (first !== undefined) assert.ok(handedOver <= first.at, "nothing leaves before its commit");
    if (this.#isEnded || !this.#output.isBlocked) return;
    assert.equal(this.#output.blockedBytes, this.#sent - this.#transport.received);
  }

  end(): void {
    const wasDiscarded = this.#isEnded && !this.#isFinished;
    for (let i = 0; i < 100 && !this.#isEnded; i += 1) {
      if (this.#transport.drain()) this.#output.drained();
    }
    this.#transport.drain();
    const got = this.#transport.bytes();
    if (!wasDiscarded) assert.equal(got.length, this.#sent, "whole");
    for (let i = 0; i < got.length; i += 1) {
      if (got[i] !== this.#byte(i)) assert.fail(`byte ${i} is not the one that was sent`);
    }
    this.#output.discard();
  }
}

/**
 * A transport as `transport.ts` says one may be: with nothing pending it takes the bytes during the call; else it keeps
 * the very buffer and reads it later.
 */
class FakeTransport implements Transport {
  readonly #blocks: readonly boolean[];
  readonly #taken: Buffer[] = [];
  #pending: Buffer[] = [];
  #writes = 0;
  #owesDrain = false;
  pendingBytes = 0;
  received = 0;

  constructor(blocks: readonly boolean[]) {
    this.#blocks = blocks;
  }

  write(bytes: Buffer): boolean {
    this.#pending.push(this.pendingBytes === 0 ? Buffer.from(bytes) : bytes);
    this.pendingBytes += bytes.length;
    const blocks = this.#blocks[this.#writes % this.#blocks.length] === true;
    this.#writes += 1;
    if (blocks) this.#owesDrain = true;
    return !blocks;
  }

  /** The system takes that share of what is pending. */
  progress(share: number): void {
    let bytes = Math.floor(this.pendingBytes * share);
    while (bytes > 0) {
      const first = this.#pending[0] as Buffer;
      const part = Math.min(bytes, first.length);
      this.#take(first.subarray(0, part));
      if (part === first.length) this.#pending.shift();
      else this.#pending[0] = first.subarray(part);
      bytes -= part;
    }
  }

  /** The system takes all; true when that makes a `drain`. */
  drain(): boolean {
    for (const bytes of this.#pending) this.#take(bytes);
    this.#pending = [];
    const drains = this.#owesDrain;
    this.#owesDrain = false;
    return drains;
  }

  #take(bytes: Buffer): void {
    this.#taken.push(Buffer.from(bytes));
    this.pendingBytes -= bytes.length;
    this.received += bytes.length;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#taken);
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}
