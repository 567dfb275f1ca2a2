import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ApplicationMessage } from "../src/routing/application-message.ts";
import type { Session } from "../src/session/session.ts";
import type { SessionConnection } from "../src/session/session-connection.ts";
import { BrokerParts } from "./broker-parts.ts";

const expirySeconds = 100;

type Action =
  | { readonly type: "deliver"; readonly qos: 1 | 2 }
  /** The peer does the next step for something it has on this connection. */
  | { readonly type: "acknowledge"; readonly which: number }
  /** A PUBREC with an error. */
  | { readonly type: "refuse"; readonly which: number }
  /** The peer acknowledges what it knows from an earlier connection and has not been sent again. */
  | { readonly type: "acknowledgeEarly"; readonly which: number }
  /** After so many more messages the peer's output is congested. */
  | { readonly type: "congest"; readonly messages: number }
  /** It is no longer, and nobody has been told yet. */
  | { readonly type: "ease" | "read" | "disconnect" }
  | { readonly type: "connect"; readonly window: number }
  | { readonly type: "wait"; readonly seconds: number };

const one = <Name extends string>(name: Name) => fc.constant(name);
const which = fc.nat(5);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ type: one("congest"), messages: fc.nat(3) }) },
  {
    weight: 6,
    arbitrary: fc.record({ type: one("deliver"), qos: fc.constantFrom(1 as const, 2 as const) }),
  },
  { weight: 6, arbitrary: fc.record({ type: one("acknowledge"), which }) },
  { weight: 1, arbitrary: fc.record({ type: one("refuse"), which }) },
  { weight: 1, arbitrary: fc.record({ type: one("acknowledgeEarly"), which }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("ease", "read", "disconnect") }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: one("connect"), window: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ type: one("wait"), seconds: fc.nat(150) }) },
);

describe("Session", () => {
  const deliver = { type: "deliver", qos: 2 } as const;
  const ended = [deliver, deliver, deliver, { type: "disconnect" }] as const;
  const connect = { type: "connect", window: 3 } as const;

  test("lets no new message overtake those to be sent again, also when the peer reads on unannounced", () => {
    const full = { type: "congest", messages: 1 } as const;
    new Model().run([...ended, full, connect, { type: "ease" }, deliver, { type: "read" }]);
  });

  test("holds nothing back once the last message to be sent again was acknowledged early", () => {
    const full = { type: "congest", messages: 2 } as const;
    const early = { type: "acknowledgeEarly", which: 0 } as const;
    const done = { type: "acknowledge", which: 0 } as const;
    new Model().run([...ended, full, connect, early, done, done, { type: "ease" }, deliver]);
  });

  test("gives no identifier twice while it is in use, when all have been used once", () => {
    const model = new Model();
    const others = Array.from({ length: 65_536 }, () => [
      { type: "deliver", qos: 1 } as const,
      { type: "acknowledge", which: 1 } as const,
    ]).flat();
    model.run([{ type: "deliver", qos: 1 }, ...others]);
  });

  test("keeps windows, order and identifiers, and delivers everything once it can", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60, size: "max" }), (actions) =>
        new Model().run(actions),
      ),
      { numRuns: 1_000 },
    );
  });
});

interface Owed {
  readonly serial: number;
  readonly qos: 1 | 2;
  /** Its Packet Identifier, once it was sent. */
  packetId?: number;
  /** The peer has said PUBREC: the message may never come again. */
  isReleased: boolean;
  /** Sent, or its PUBREL, on the connection of now. */
  isOnTheWire: boolean;
}

/** The peer, and what a session owes it, in the order it is owed. */
class Model {
  readonly #parts = new BrokerParts();
  #session: Session | undefined;
  #owed: Owed[] = [];
  #window = 1;
  #isCongested = false;
  #congestAfter = Number.POSITIVE_INFINITY;
  #isEased = false;
  #isConnected = false;
  #leftAt = 0;
  #serial = 0;
  #lastSerialSent = 0;

  run(actions: readonly Action[]): void {
    this.#connect(3);
    for (const each of actions) {
      this.#act(each);
      this.#checkNothingIsHeldBack();
    }
    this.#finish();
  }

  #act(action: Action): void {
    switch (action.type) {
      case "deliver":
        this.#deliver(action.qos);
        break;
      case "acknowledge":
        this.#acknowledge(this.#wire()[action.which]);
        break;
      case "refuse":
        this.#refuse(
          this.#wire().filter((owed) => owed.qos === 2 && !owed.isReleased)[action.which],
        );
        break;
      case "acknowledgeEarly":
        this.#acknowledge(this.#unsentAgain()[action.which]);
        break;
      case "congest":
        this.#congestAfter = action.messages;
        this.#isCongested ||= this.#isConnected && action.messages === 0;
        break;
      case "ease":
        this.#isEased ||= this.#isCongested;
        this.#isCongested = false;
        break;
      case "read":
        this.#read();
        break;
      case "disconnect":
        this.#disconnect();
        break;
      case "connect":
        this.#connect(action.window);
        break;
      case "wait":
        this.#parts.advance(action.seconds * 1_000);
    }
  }

  #read(): void {
    this.#isEased = false;
    this.#isCongested = false;
    this.#session?.sendWaiting();
  }

  #deliver(qos: 1 | 2): void {
    const session = this.#session;
    if (session === undefined || this.#isExpired()) return;
    this.#serial += 1;
    this.#owed.push({ serial: this.#serial, qos, isReleased: false, isOnTheWire: false });
    const bytes = Buffer.from(String(this.#serial));
    const { router } = this.#parts;
    const message = new ApplicationMessage(router.topic("t"), session.subject, bytes);
    message.payloadEnd = bytes.length;
    session.deliver(message, qos, false, undefined, undefined, 0);
    bytes.fill(0x78); // the buffer a PUBLISH arrived in is used again
  }

  #wire(): Owed[] {
    return this.#owed.filter(({ isOnTheWire }) => isOnTheWire);
  }

  #unsentAgain(): Owed[] {
    if (!this.#isConnected) return [];
    return this.#owed.filter(({ packetId, isOnTheWire }) => packetId !== undefined && !isOnTheWire);
  }

  /** PUBACK, PUBREC or PUBCOMP, as `connection.ts` handles them. */
  #acknowledge(owed: Owed | undefined): void {
    if (owed?.packetId === undefined || this.#session === undefined || !this.#isConnected) return;
    const { packetId, qos, isReleased } = owed;
    assert.equal(this.#session.stateOf(packetId), isReleased ? "released" : qos);
    if (qos === 2 && !isReleased) {
      owed.isReleased = true;
      owed.isOnTheWire = true;
      assert.equal(this.#session.release(packetId), true);
      return;
    }
    this.#forget(owed);
    assert.equal(this.#session.settle(packetId), true);
  }

  #refuse(owed: Owed | undefined): void {
    if (owed?.packetId === undefined) return;
    this.#forget(owed);
    this.#session?.settle(owed.packetId);
  }

  #forget(owed: Owed): void {
    this.#owed = this.#owed.filter((each) => each !== owed);
  }

  #disconnect(): void {
    const session = this.#session;
    if (session === undefined || !this.#isConnected) return;
    this.#isConnected = false;
    this.#isCongested = false;
    this.#isEased = false;
    this.#leftAt = this.#parts.clock;
    for (const owed of this.#owed) owed.isOnTheWire = false;
    this.#parts.sessions.detach(session, undefined);
  }

  #isExpired(): boolean {
    return !this.#isConnected && this.#parts.clock >= this.#leftAt + expirySeconds * 1_000;
  }

  #connect(window: number): void {
    if (this.#isConnected) return;
    const wasThere = this.#session !== undefined;
    // Within one tick of its expiry a session may be there or not.
    const late = this.#parts.clock - this.#leftAt - expirySeconds * 1_000;
    this.#parts.advance(late >= 0 ? 100 : 0);
    const { session, isPresent } = this.#parts.sessions.open(this.#parts.service("s"), "s", false);
    assert.equal(isPresent, wasThere && late < 0);
    if (!isPresent) this.#owed = [];
    this.#session = session;
    this.#window = window;
    this.#isConnected = true;
    session.window = window;
    this.#parts.sessions.begin(session, expirySeconds, undefined);
    const connection = this.#connection();
    session.connection = connection;
    if (isPresent) session.resume(connection);
  }

  #connection(): SessionConnection {
    const isCongested = () => this.#isCongested;
    return {
      address: "192.0.2.1",
      get isCongested() {
        return isCongested();
      },
      isTooLarge: () => false,
      sendPublish: (message, qos, _retain, dup, packetId) => {
        const payload = message.bytes.toString("utf8", message.payloadStart, message.payloadEnd);
        this.#receive(Number(payload), qos, dup, packetId);
        return true;
      },
      hold: () => true,
      sendPubrel: (packetId) => {
        const owed = this.#owed.find((each) => each.packetId === packetId);
        assert.equal(owed?.isReleased, true, "a PUBREL for what was not received");
        if (owed !== undefined) owed.isOnTheWire = true;
      },
      disconnect() {},
    };
  }

  #receive(serial: number, qos: number, dup: boolean, packetId: number): void {
    assert.ok(
      this.#isConnected && !this.#isCongested,
      "sent to nobody, or to a peer that does not read",
    );
    assert.ok(this.#wire().length < this.#window, "more on the wire than the window");
    const owed = this.#owed.find((each) => each.serial === serial);
    assert.ok(owed !== undefined, "a message that is done comes again");
    assert.equal(owed.qos, qos);
    assert.equal(owed.isOnTheWire, false, "twice on one connection");
    if (dup) {
      assert.equal(packetId, owed.packetId, "the same identifier again");
      assert.equal(owed.isReleased, false, "a QoS 2 message after its PUBREC");
      assert.equal(this.#unsentAgain()[0], owed, "again in the order of before");
    } else {
      assert.equal(owed.packetId, undefined, "DUP is missing");
      assert.equal(this.#unsentAgain().length, 0, "a new message before those sent again");
      assert.ok(serial > this.#lastSerialSent, "out of order");
      assert.ok(packetId > 0 && !this.#owed.some((each) => each.packetId === packetId), "in use");
      this.#lastSerialSent = serial;
      owed.packetId = packetId;
    }
    owed.isOnTheWire = true;
    this.#congestAfter -= 1;
    if (this.#congestAfter === 0) this.#isCongested = true;
  }

  /** A peer that reads and has room in its window gets what waits, at once. */
  #checkNothingIsHeldBack(): void {
    if (!this.#isConnected || this.#isCongested || this.#isEased) return;
    const waiting = this.#owed.length - this.#wire().length;
    assert.ok(waiting === 0 || this.#wire().length >= this.#window, `${waiting} are held back`);
  }

  #finish(): void {
    this.#connect(2);
    this.#congestAfter = Number.POSITIVE_INFINITY;
    this.#read();
    for (let i = 0; i < 500 && this.#owed.length > 0; i += 1) this.#acknowledge(this.#wire()[0]);
    assert.deepEqual(this.#owed, []);
    this.#disconnect();
    this.#parts.advance((expirySeconds + 1) * 1_000);
    assert.equal(this.#parts.sessions.size, 0);
    const { queued, state } = this.#parts.budget;
    assert.deepEqual({ queued, state }, { queued: 0, state: 0 });
  }
}
