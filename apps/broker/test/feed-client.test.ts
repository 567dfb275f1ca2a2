import assert from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import {
  type BrokerMessage,
  decodeBrokerMessage,
  encodeFeedMessage,
  type FeedBody,
  LineSplitter,
} from "@wardmq/feed";
import { FeedClient } from "../src/feed/feed-client.ts";
import { deviceRecord, settings } from "./broker-parts.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519").privateKey;
const world = {
  settings,
  trustAnchors: [],
  feedKeys: [],
  policy: {},
  issuers: [],
  foreignCas: [],
  revokedTokens: [],
};
const ended = { connectionsClosed: 7, sessionsEnded: 2, messagesWithheld: 1 };

const snapshot = (version: number, lineage = "a1"): FeedBody => ({
  type: "snapshot",
  lineage,
  version,
  issuedAt: version,
  parts: 0,
  world,
  subjects: [],
});
const change = (version: number, lineage = "a1"): FeedBody => ({
  type: "change",
  lineage,
  version,
  issuedAt: version,
  parts: 0,
  change: {},
  subjects: [],
});
const part = (version: number, number: number): FeedBody => ({
  type: "subjects",
  lineage: "a1",
  version,
  issuedAt: version,
  part: number,
  subjects: [deviceRecord(`${number}`)],
});
const alive = (version: number, lineage = "a1"): FeedBody => ({
  type: "alive",
  lineage,
  version,
  issuedAt: 1_000 + version,
});
const line = (body: FeedBody, key = privateKey) =>
  encodeFeedMessage(body, (bytes) => sign(null, bytes, key));

let directory: string;
let control: FakeControl;
let broker: ReturnType<typeof startBroker>;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "wardmq-feed-"));
  control = new FakeControl();
  await control.listen(join(directory, "feed.sock"));
  broker = startBroker(join(directory, "feed.sock"));
});

afterEach(async () => {
  broker.client.close();
  await control.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Takes one broker's connections and says what the test tells it to. */
class FakeControl {
  readonly #server: Server = createServer((socket) => this.#accept(socket));
  readonly #heard: BrokerMessage[] = [];
  readonly #sockets = new Set<Socket>();
  #socket: Socket | undefined;
  #changed: () => void = () => {};

  async listen(path: string): Promise<void> {
    this.#server.listen(path);
    await once(this.#server, "listening");
  }

  #accept(socket: Socket): void {
    const lines = new LineSplitter(1 << 24);
    this.#socket = socket;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (bytes: Buffer) => {
      for (const text of lines.push(bytes)) this.#heard.push(decodeBrokerMessage(text));
      this.#changed();
    });
  }

  say(...lines: readonly (string | Buffer)[]): void {
    for (const each of lines) this.#socket?.write(each);
  }

  hangUp(): void {
    this.#socket?.destroy();
  }

  /** The next message of the broker, which has to be of this type. */
  async hears<Type extends BrokerMessage["type"]>(
    type: Type,
  ): Promise<Extract<BrokerMessage, { type: Type }>> {
    const deadline = Date.now() + 10_000;
    while (this.#heard.length === 0) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`the broker did not say ${type}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const message = this.#heard.shift();
    assert.equal(message?.type, type);
    return message as Extract<BrokerMessage, { type: Type }>;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }
}

function startBroker(path: string) {
  const applied: number[] = [];
  const refused: string[] = [];
  const staged: string[] = [];
  const fresh: number[] = [];
  const kept: string[] = [];
  const asides: string[] = [];
  const state = { fails: false, lost: 0, isLong: false };
  const aboutCertificate: string[] = [];
  const client = new FeedClient({
    path,
    verify: (bytes, signature) => verify(null, bytes, publicKey, signature),
    stage: (part, subjects) => {
      if (part === 0) staged.length = 0;
      staged.push(...subjects.map(({ id }) => id));
    },
    apply: (body) => {
      if (state.fails) throw new Error("it cannot be applied");
      applied.push(body.version);
      return ended;
    },
    onAlive: (issuedAt) => fresh.push(issuedAt),
    keep: (_, type) => {
      kept.push(type);
      return state.isLong;
    },
    onServerCertificate: (message) => aboutCertificate.push(message.type),
    rekey: async () => ({ current: "00000001", destroyed: ["00000000"] }),
    aside: (body) => asides.push(body.type),
    onConnected() {},
    onLost: () => {
      state.lost += 1;
    },
    onRefused: (_, why) => refused.push(why),
  });
  client.open();
  return { client, applied, staged, refused, fresh, kept, aboutCertificate, asides, state };
}

/** What control says after a broker that stands at version 2 has connected, and that must change nothing. */
const attacks: readonly (readonly [name: string, said: string | Buffer])[] = [
  ["a change signed by somebody else", line(change(3), stranger)],
  ["a snapshot signed by somebody else", line(snapshot(9), stranger)],
  ["an unsigned change", ` ${JSON.stringify(change(3))}\n`],
  ["a change altered after it was signed", line(change(3)).replace('"version":3', '"version":4')],
  ["a gap", line(change(4))],
  ["the change before again", line(change(2))],
  ["a change of another lineage", line(change(3, "b2"))],
  ["an alive of a version that was not sent", line(alive(3))],
  ["an alive of another lineage", line(alive(2, "b2"))],
  ["an older snapshot of the same lineage", line(snapshot(1))],
  ["a change whose parts did not come", line({ ...change(3), parts: 1 } as FeedBody)],
  ["a part that is not the next", line(part(3, 1))],
  ["a line that is no JSON", "}{\n"],
  ["bytes that are no UTF-8", Buffer.from([0xff, 0xfe, 0x0a])],
  ["a JSON value that is no object", "[]\n"],
  [
    "a signed value that is no message",
    encodeFeedMessage({ type: "x" } as unknown as FeedBody, (bytes) =>
      sign(null, bytes, privateKey),
    ),
  ],
];

async function standsAtTwo(): Promise<void> {
  assert.deepEqual(await control.hears("hello"), { type: "hello" });
  control.say(line(snapshot(1)), line(change(2)));
  await control.hears("applied");
  await control.hears("applied");
}

describe("FeedClient", () => {
  for (const [name, said] of attacks) {
    test(`refuses ${name}, changes nothing, and asks anew from where it stands`, async () => {
      await standsAtTwo();
      const fresh = [...broker.fresh];
      control.say(said);
      assert.equal((await control.hears("refused")).version, 2);
      assert.deepEqual(await control.hears("hello"), { type: "hello", lineage: "a1", version: 2 });
      assert.deepEqual([broker.applied, broker.fresh], [[1, 2], fresh]);
      assert.equal(broker.refused.length, 1);
      control.say(line(change(3)));
      assert.equal((await control.hears("applied")).version, 3);
    });
  }

  test("takes what is said of its own certificate at any time, even between parts, and only from control", async () => {
    await standsAtTwo();
    const about = {
      type: "renew-server-certificate",
      lineage: "a1",
      version: 2,
      issuedAt: 1,
    } as const;
    control.say(line(part(3, 0)), line(about), line({ ...change(3), parts: 1 } as FeedBody));
    assert.equal((await control.hears("applied")).version, 3);
    assert.deepEqual(broker.aboutCertificate, ["renew-server-certificate"]);
    control.say(line(about, stranger));
    await control.hears("refused");
    assert.equal(broker.aboutCertificate.length, 1);
  });

  test("refuses everything before its first snapshot", async () => {
    await control.hears("hello");
    control.say(line(change(2)));
    await control.hears("refused");
    assert.deepEqual(await control.hears("hello"), { type: "hello" });
    control.say(line(alive(1)));
    await control.hears("refused");
    await control.hears("hello");
    assert.deepEqual([broker.applied, broker.fresh], [[], []]);
  });

  test("keeps the old state when a change cannot be applied, and applies it when it can", async () => {
    await standsAtTwo();
    broker.state.fails = true;
    control.say(line(change(3)), line(change(4)));
    assert.deepEqual(await control.hears("refused"), {
      type: "refused",
      version: 2,
      why: "it cannot be applied",
    });
    broker.state.fails = false;
    assert.deepEqual(await control.hears("hello"), { type: "hello", lineage: "a1", version: 2 });
    assert.deepEqual(broker.applied, [1, 2]);
    control.say(line(change(3)));
    assert.deepEqual([(await control.hears("applied")).version, broker.applied], [3, [1, 2, 3]]);
  });

  test("serves on when control goes away, and resumes where it was", async () => {
    await standsAtTwo();
    control.hangUp();
    assert.deepEqual(await control.hears("hello"), { type: "hello", lineage: "a1", version: 2 });
    assert.equal(broker.state.lost, 1);
    control.say(line(change(3)), line(alive(3)));
    const applied = await control.hears("applied");
    assert.deepEqual([applied.version, applied.connectionsClosed], [3, 7]);
    assert.ok(applied.milliseconds >= 0);
  });

  test("asks for a snapshot where more changes are kept than it is worth, and takes it", async () => {
    await standsAtTwo();
    broker.state.isLong = true;
    control.say(line(change(3)));
    await control.hears("snapshot-wanted");
    broker.state.isLong = false;
    await control.hears("applied");
    control.say(line(snapshot(3)));
    assert.equal((await control.hears("applied")).version, 3);
    assert.equal(broker.state.lost, 0);
  });

  test("gives back what control has said of its state last, or what was kept of a former process", async () => {
    const state = (text: string): FeedBody => ({ ...alive(2), state: text });
    await standsAtTwo();
    control.say(line(state("5 a")), line({ ...change(3), state: "6 b" }));
    await control.hears("applied");
    control.hangUp();
    assert.equal((await control.hears("hello")).state, "6 b");
    const kept = (text: string, key = privateKey) => line(state(text), key).trimEnd();
    broker.client.remember([kept("9 c"), kept("7 d")]);
    control.hangUp();
    assert.equal((await control.hears("hello")).state, "7 d");
    broker.client.remember([kept("8 e", stranger)]);
    broker.client.remember([]);
    control.hangUp();
    assert.equal((await control.hears("hello")).state, "7 d");
  });

  test("takes a later snapshot of its lineage, and any of a new one", async () => {
    await standsAtTwo();
    control.say(line(snapshot(9)), line(snapshot(1, "b2")), line(change(2, "b2")));
    for (const version of [9, 1, 2])
      assert.equal((await control.hears("applied")).version, version);
    assert.deepEqual(broker.applied, [1, 2, 9, 1, 2]);
  });

  test("takes subjects in parts, and counts them only with their message", async () => {
    await standsAtTwo();
    const whole = { ...change(3), parts: 2 } as FeedBody;
    control.say(line(part(3, 0)), line(part(3, 1)), line(whole));
    assert.equal((await control.hears("applied")).version, 3);
    assert.deepEqual(broker.staged, ["device:0", "device:1"]);
    for (const wrong of [
      [part(4, 0), { ...change(4), parts: 2 }],
      [part(4, 0), part(4, 1), change(4)],
      [part(4, 0), part(4, 2)],
      [part(4, 0), alive(3), part(4, 1)],
      [part(5, 0), { ...change(4), parts: 1 }],
    ]) {
      control.say(...wrong.map((body) => line(body as FeedBody)));
      await control.hears("refused");
      assert.deepEqual(await control.hears("hello"), { type: "hello", lineage: "a1", version: 3 });
    }
    assert.deepEqual(broker.applied, [1, 2, 3]);
    control.say(line(part(4, 0)), line({ ...change(4), parts: 1 } as FeedBody));
    assert.equal((await control.hears("applied")).version, 4);
    assert.deepEqual(broker.staged, ["device:0"]);
  });

  test("takes the world from lines that were kept, and asks for what came since", async () => {
    await control.hears("hello");
    const lines = [snapshot(3), part(4, 0), { ...change(4), parts: 1 } as FeedBody, alive(4)];
    assert.equal(broker.client.restore(lines.map((body) => line(body).trimEnd())), true);
    assert.deepEqual(broker.applied, [3, 4]);
    assert.deepEqual(broker.staged, ["device:0"]);
    assert.deepEqual(broker.fresh, [3, 4, 1_004]);
    assert.equal(broker.client.restore([line(snapshot(9)).trimEnd()]), false, "once is enough");
    control.say(line(change(5)));
    assert.equal((await control.hears("applied")).version, 5);
  });

  const notToBeTaken: readonly (readonly [string, readonly string[]])[] = [
    ["one that somebody else signed", [line(snapshot(1)), line(change(2), stranger)]],
    ["a gap", [line(snapshot(1)), line(change(3))]],
    ["changes without their snapshot", [line(change(2))]],
    [
      "a change without its parts",
      [line(snapshot(1)), line({ ...change(2), parts: 1 } as FeedBody)],
    ],
    ["none", []],
  ];
  for (const [name, lines] of notToBeTaken) {
    test(`takes nothing from lines that were kept with ${name}`, async () => {
      await control.hears("hello");
      assert.equal(broker.client.restore(lines.map((each) => each.trimEnd())), false);
      assert.deepEqual(broker.applied, []);
      control.say(line(snapshot(1)));
      assert.equal((await control.hears("applied")).version, 1);
    });
  }

  test("seals its store anew when control asks, and says so", async () => {
    await control.hears("hello");
    control.say(line(snapshot(1)));
    await control.hears("applied");
    control.say(line({ type: "rekey", lineage: "a1", version: 1, issuedAt: 1 }));
    assert.deepEqual(await control.hears("rekeyed"), {
      type: "rekeyed",
      current: "00000001",
      destroyed: ["00000000"],
    });
  });

  test("takes a line in any number of pieces", async () => {
    await control.hears("hello");
    for (const byte of Buffer.from(line(snapshot(1)))) control.say(Buffer.from([byte]));
    assert.equal((await control.hears("applied")).version, 1);
    control.say(line(alive(1)));
    control.say(line(change(2)));
    await control.hears("applied");
    assert.deepEqual(broker.fresh, [1, 1_001, 2]);
  });
});
