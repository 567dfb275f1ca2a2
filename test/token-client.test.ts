import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { afterEach, beforeEach, describe, mock, test } from "node:test";
import { connectWithToken, type FetchToken } from "@wardmq/mqtt-js";
import type { IClientOptions, MqttClient } from "mqtt";

const minuteMs = 60_000;
/** What the issuer's clock and the client's monotonic clock say; the client's wall clock differs from the issuer's. */
let nowMs = 0;
let aheadMs = 0;

beforeEach(() => {
  nowMs = 1_795_447_459_000;
  aheadMs = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => nowMs - 1_795_000_000_000);
  mock.method(Date, "now", () => nowMs + aheadMs);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** In small steps, with time for everything that waits for a promise. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    nowMs += 250;
    mock.timers.tick(250);
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
  }
}

function jwt(lifeSeconds: number): string {
  const iat = Math.floor(nowMs / 1000);
  const claims = JSON.stringify({ iat, exp: iat + lifeSeconds });
  return `e30.${Buffer.from(claims).toString("base64url")}.AA`;
}

/** An MQTT.js client that is connected to nothing: `isRefusing` says what the broker does with what is published. */
class FakeClient extends EventEmitter {
  options: IClientOptions = {};
  connected = false;
  disconnecting = false;
  isRefusing = false;
  reconnects = 0;
  /** When something was published, in milliseconds from the connection on. */
  readonly published: number[] = [];
  #connectedAt = 0;

  open(): void {
    this.connected = true;
    this.#connectedAt = nowMs;
    const userProperties = { "token-expires": new Date(nowMs + 60 * minuteMs).toISOString() };
    this.emit("connect", { properties: { userProperties } });
  }

  lose(): void {
    this.connected = false;
    this.emit("close");
  }

  readonly incomingStore = {};
  readonly outgoingStore = {};
  reconnect(stores: object): void {
    const { incomingStore, outgoingStore } = this;
    assert.deepEqual(stores, { incomingStore, outgoingStore }, "what is in flight goes on");
    this.reconnects += 1;
    this.open();
  }

  async publishAsync(topic: string): Promise<void> {
    assert.equal(topic, "$token/renew");
    this.published.push(nowMs - this.#connectedAt);
    if (this.isRefusing) throw new Error("Publish error: Not authorized");
  }
}

async function connected(fetchToken: FetchToken): Promise<FakeClient> {
  const client = new FakeClient();
  const connect = (_: string, options: IClientOptions) => {
    client.options = options;
    return client as unknown as MqttClient;
  };
  await connectWithToken({ connect, url: "wss://localhost/mqtt", fetchToken });
  client.open();
  return client;
}

describe("a token is followed by the next one", () => {
  for (const [what, differenceMs] of [
    ["is right", 0],
    ["is an hour ahead", 65 * minuteMs],
    ["is an hour behind", -65 * minuteMs],
  ] as const) {
    test(`when a quarter of its life is left, where the client's clock ${what}`, async () => {
      aheadMs = differenceMs;
      const client = await connected(async () => jwt(3600));
      await pass(100 * minuteMs);
      assert.deepEqual(client.published, [45 * minuteMs, 90 * minuteMs]);
    });
  }

  test("with ten seconds left, or half of a shorter life", async () => {
    const [short, shorter] = [
      await connected(async () => jwt(30)),
      await connected(async () => jwt(12)),
    ];
    await pass(20_000);
    assert.deepEqual(short.published, [20_000]);
    assert.deepEqual(shorter.published, [6_000, 12_000, 18_000]);
  });

  test("by what is left of it, where that is said", async () => {
    const kept = { access_token: jwt(3600), expires_in: 80 };
    const client = await connected(async () => kept);
    await pass(61_000);
    assert.deepEqual(client.published, [60_000]);
  });

  test("after three quarters of a minute, where its life is unknown", async () => {
    const client = await connected(async () => "opaque");
    await pass(46_000);
    assert.deepEqual(client.published, [45_000]);
  });
});

describe("a renewal that is refused", () => {
  test("is tried again after pauses that double, and no more shortly before the end", async () => {
    const client = await connected(async () => jwt(3600));
    client.isRefusing = true;
    await pass(61 * minuteMs);
    const pauses = client.published.slice(1).map((at, i) => at - (client.published[i] ?? 0));
    assert.deepEqual(pauses.slice(0, 6), [5_000, 10_000, 20_000, 40_000, 80_000, 160_000]);
    assert.ok(client.published.length < 20, `${client.published.length} tokens were refused`);
    const last = client.published.at(-1) ?? 0;
    assert.ok(last > 59 * minuteMs && last < 60 * minuteMs, String(last));
  });

  test("is forgotten with the next one that is not", async () => {
    const client = await connected(async () => jwt(3600));
    client.isRefusing = true;
    await pass(46 * minuteMs);
    client.isRefusing = false;
    await pass(2 * minuteMs);
    const renewedAt = client.published.at(-1) ?? 0;
    client.isRefusing = true;
    await pass(46 * minuteMs);
    const [first = 0, second] = client.published.filter((at) => at > renewedAt);
    assert.deepEqual([first, second], [renewedAt + 45 * minuteMs, first + 5_000]);
  });

  test("does not stand in the way of the next connection when it was lost meanwhile", async () => {
    let giveUp = (_: Error) => {};
    let fetched = 0;
    const client = await connected(async () => {
      fetched += 1;
      if (fetched === 2) await new Promise((_, reject) => (giveUp = reject));
      return jwt(3600);
    });
    await pass(45 * minuteMs);
    assert.equal(fetched, 2);
    client.lose();
    giveUp(new Error("the identity provider is away"));
    await pass(10_000);
    assert.deepEqual([client.reconnects, client.connected], [1, true]);
  });
});
