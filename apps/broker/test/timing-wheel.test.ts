import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Timed, TimingWheel } from "../src/connection/timing-wheel.ts";
import { fail, withoutInterval } from "./timers.ts";

const tickMs = 50;
const entries = 6;

/** What an entry does when it is due: nothing, or something to itself or another. */
type Reaction =
  | { readonly does: "nothing" }
  | { readonly does: "schedule"; readonly which: number; readonly ms: number }
  | { readonly does: "cancel"; readonly which: number };

type Action =
  | { readonly type: "advance"; readonly ms: number; readonly turns: boolean }
  | { readonly type: "schedule"; readonly which: number; readonly ms: number }
  | { readonly type: "cancel"; readonly which: number };

const which = fc.nat(entries - 1);
/** Under a tick, some ticks, and several turns of the wheel. */
const delay = fc.oneof(
  fc.integer({ min: -10, max: 200 }),
  fc.integer({ min: 0, max: 700_000 }),
  fc.constantFrom(0, 49, 50, 51, 4096 * tickMs, 4096 * tickMs + 1, 4_294_967_295_000),
);
const reaction: fc.Arbitrary<Reaction> = fc.oneof(
  fc.constant({ does: "nothing" } as const),
  fc.record({ does: fc.constant("schedule" as const), which, ms: delay }),
  fc.record({ does: fc.constant("cancel" as const), which }),
);
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ type: fc.constant("schedule" as const), which, ms: delay }),
  fc.record({ type: fc.constant("cancel" as const), which }),
  fc.record({
    type: fc.constant("advance" as const),
    ms: fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 400_000 })),
    turns: fc.boolean(), // else the event loop is busy: time passes and the wheel does not know
  }),
);

describe("TimingWheel", () => {
  test("makes every entry due once, never early and at most one tick late", () => {
    fc.assert(
      fc.property(
        fc.array(reaction, { minLength: entries, maxLength: entries }),
        fc.array(action, { maxLength: 40, size: "max" }),
        (reactions, actions) => new Model(reactions).run(actions),
      ),
      { numRuns: 400 },
    );
  });

  test("makes nothing due early after the event loop was busy", () => {
    let clock = 1_000;
    const { made: wheel, turn } = withoutInterval(() => new TimingWheel(() => clock, fail));
    const dueAt: number[] = [];
    const entry = new (class extends Timed {
      override due() {
        dueAt.push(clock);
      }
    })();
    clock += 10_000;
    wheel.schedule(entry, 5_000); // before the wheel has turned
    turn();
    assert.deepEqual(dueAt, []);
    clock += 4_999;
    turn();
    assert.deepEqual(dueAt, []);
    clock += 1 + tickMs;
    turn();
    assert.deepEqual(dueAt, [16_050]);
  });

  test("goes on with the others when one throws, and says so", () => {
    let clock = 0;
    const failures: unknown[] = [];
    const { made: wheel, turn } = withoutInterval(
      () =>
        new TimingWheel(
          () => clock,
          (error) => void failures.push(error),
        ),
    );
    let times = 0;
    const mistake = new Error("a mistake of ours");
    for (const throws of [false, true, false]) {
      const entry = new (class extends Timed {
        override due() {
          times += 1;
          if (throws) throw mistake;
        }
      })();
      wheel.schedule(entry, 100);
    }
    clock += 1_000;
    turn();
    assert.deepEqual([times, failures], [3, [mistake]]);
  });
});

class Model {
  #clock = 12_345.6;
  readonly #wheel: TimingWheel;
  readonly #turn: () => void;
  readonly #entries: Timed[];
  /** When each entry is due, as the plain twin knows it. */
  readonly #dueAt = new Map<number, number>();

  constructor(reactions: readonly Reaction[]) {
    const { made, turn } = withoutInterval(() => new TimingWheel(() => this.#clock, fail, tickMs));
    this.#wheel = made;
    this.#turn = turn;
    const onDue = (index: number) => this.#due(index, reactions[index]);
    this.#entries = reactions.map(
      (_, index) =>
        new (class extends Timed {
          override due() {
            onDue(index);
          }
        })(),
    );
  }

  run(actions: readonly Action[]): void {
    for (const each of actions) {
      if (each.type === "schedule") this.#schedule(each.which, each.ms);
      else if (each.type === "cancel") this.#cancel(each.which);
      else {
        this.#clock += each.ms;
        if (each.turns) this.#check();
      }
      for (const [index, entry] of this.#entries.entries()) {
        assert.equal(entry.wheelTick !== 0, this.#dueAt.has(index), "in the wheel or not");
      }
    }
  }

  #check(): void {
    this.#turn();
    for (const [index, at] of this.#dueAt) {
      assert.ok(at > this.#clock - tickMs, `entry ${index} is ${this.#clock - at} ms late`);
    }
  }

  #due(index: number, reaction: Reaction | undefined): void {
    const at = this.#dueAt.get(index);
    assert.ok(at !== undefined, `entry ${index} is due and was not scheduled`);
    assert.ok(at <= this.#clock, `entry ${index} is ${at - this.#clock} ms early`);
    this.#dueAt.delete(index);
    if (reaction?.does === "schedule") this.#schedule(reaction.which, reaction.ms);
    if (reaction?.does === "cancel") this.#cancel(reaction.which);
  }

  #schedule(index: number, ms: number): void {
    this.#dueAt.set(index, this.#clock + Math.max(0, ms));
    this.#wheel.schedule(this.#entries[index] as Timed, ms);
  }

  #cancel(index: number): void {
    this.#dueAt.delete(index);
    this.#wheel.cancel(this.#entries[index] as Timed);
  }
}
