import assert from "node:assert/strict";
import { sign, verify } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  decodeFeedMessage,
  encodeBrokerMessage,
  type FeedBody,
  LineSplitter,
  maximumFeedLineBytes,
  type SubjectRecord,
  type World,
} from "@wardmq/feed";
import { longestBanMs } from "@wardmq/tokens/verify";
import { FeedPublisher, type FeedPublisherOptions } from "../src/feed/publisher.ts";
import { eventually, newKey, TestFolder } from "./control-under-test.ts";

const key = newKey("Ed25519");

/** A publisher on a socket of its own, in this process. */
async function publishing(options: Partial<FeedPublisherOptions> = {}) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(new TestFolder());
  const path = join(folder.path, "feed.sock");
  const publisher = new FeedPublisher({
    onKeyMissing: () => {},
    world: () => ({ subjects: [] }) as unknown as World,
    sign: (bytes) => new Uint8Array(sign(null, bytes, key.privateKey)),
    now: Date.now,
    state: () => "1",
    onState: () => {},
    onStored: () => {},
    onEvents: () => {},
    onUsed: () => {},
    onForeign: () => {},
    onIntrospect: async () => undefined,
    onRulesUsed: () => {},
    onShadowCounts: () => {},
    onCertificateRequest: async () => ({ why: "nobody signs here" }),
    report: () => {},
    ...options,
  });
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    publisher.accept(socket);
  });
  server.listen(path);
  await once(server, "listening");
  stack.defer(() => void server.close());
  stack.defer(() => publisher.close());
  const broker = (): { socket: Socket; heard: FeedBody[] } => {
    const socket = connect(path);
    const heard: FeedBody[] = [];
    const lines = new LineSplitter(maximumFeedLineBytes);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        heard.push(
          decodeFeedMessage(line, (bytes, signature) =>
            verify(null, bytes, key.publicKey, signature),
          ),
        );
      }
    });
    stack.defer(() => void socket.destroy());
    return { socket, heard };
  };
  return { publisher, broker, accepted, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

function monitorIn(ward: string): SubjectRecord {
  return {
    id: "device:a",
    kind: "device",
    state: "active",
    attributes: { org: "hospital", site: "main", ward, id: "a" },
    spiffeId: "spiffe://prod.hospital/device/a",
    certificates: [],
  };
}

/** Where the one device is after these messages, of which each follows the one before or is a snapshot. */
function followed(heard: readonly FeedBody[]): SubjectRecord | undefined {
  let version: number | undefined;
  let device: SubjectRecord | undefined;
  for (const body of heard) {
    if (body.type === "change") assert.equal(body.version, (version ?? 0) + 1);
    else assert.ok(body.version >= (version ?? 0));
    version = body.version;
    if ("subjects" in body) device = body.subjects.at(-1);
  }
  return device;
}

const change = (i: number) => ({ removedSubjects: [`service:${i}`] });

describe("the publisher of the feed", () => {
  test("gives a snapshot to a broker that is further behind than the changes it keeps", async () => {
    await using at = await publishing({ keptChanges: 3 });
    for (let i = 0; i < 10; i += 1) at.publisher.publish(change(i));
    const { lineage, version } = at.publisher;
    for (const [behind, first] of [
      [3, "change"],
      [4, "snapshot"],
    ] as const) {
      const { socket, heard } = at.broker();
      socket.write(encodeBrokerMessage({ type: "hello", lineage, version: version - behind }));
      await eventually(() => heard.length > 0);
      assert.equal(heard[0]?.type, first);
    }
  });

  for (const [keptChanges, how] of [
    [10_000, "by every change in its order"],
    [50, "by a snapshot where they are no longer kept"],
  ] as const) {
    test(`brings a broker that reads slowly to the end of a storm of moves ${how}`, async () => {
      let moved = monitorIn("w0");
      const world = () => ({ subjects: [moved] }) as unknown as World;
      await using at = await publishing({ longestBacklogBytes: 10_000, keptChanges, world });
      const [slow, good] = [at.broker(), at.broker()];
      for (const { socket } of [slow, good]) socket.write(encodeBrokerMessage({ type: "hello" }));
      await eventually(() => slow.heard.length === 1 && good.heard.length === 1);
      slow.socket.pause();
      let mostWaiting = 0;
      for (let i = 1; i <= 2_000; i += 1) {
        moved = monitorIn(`w${i}`);
        at.publisher.publish({ subjects: [moved] });
        mostWaiting = Math.max(mostWaiting, ...at.accepted.map((one) => one.writableLength));
        if (i % 20 === 0) await eventually(() => good.heard.at(-1)?.version === i + 1);
      }
      assert.ok(mostWaiting < 200_000, `${mostWaiting} bytes waited in control`);
      slow.socket.resume();
      await eventually(() => slow.heard.at(-1)?.version === 2_001);
      for (const { socket, heard } of [slow, good]) {
        assert.ok(!socket.destroyed);
        assert.deepEqual(followed(heard), moved);
      }
      at.publisher.publish({ subjects: [monitorIn("end")] });
      await eventually(() => slow.heard.at(-1)?.version === 2_002);
      assert.deepEqual(followed(slow.heard), monitorIn("end"));
    });
  }

  test("gives a snapshot of the present to a broker that wants one, and then the changes", async () => {
    await using at = await publishing();
    const { socket, heard } = at.broker();
    socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => heard.length === 1);
    at.publisher.publish(change(1));
    await eventually(() => heard.length === 2);
    socket.write(encodeBrokerMessage({ type: "snapshot-wanted" }));
    await eventually(() => heard.length === 3);
    at.publisher.publish(change(2));
    await eventually(() => heard.length === 4);
    assert.deepEqual(
      heard.map(({ type, version }) => [type, version]),
      [
        ["snapshot", 1],
        ["change", 2],
        ["snapshot", 2],
        ["change", 3],
      ],
    );
  });

  test("answers a request for a certificate to who asked alone, with the certificate or the reason why not", async () => {
    const onCertificateRequest = async (request: Uint8Array) =>
      request.length === 3 ? { certificate: "PEM" } : { why: "no request" };
    await using at = await publishing({ onCertificateRequest });
    const [asking, other] = [at.broker(), at.broker()];
    for (const { socket } of [asking, other]) socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => asking.heard.length === 1 && other.heard.length === 1);
    for (const request of ["AAAA", "AA=="])
      asking.socket.write(encodeBrokerMessage({ type: "certificate-request", request }));
    await eventually(() => asking.heard.length === 3);
    const said = asking.heard
      .slice(1)
      .map((body) => [
        body.type,
        body.type === "server-certificate" ? body.certificate : "why" in body ? body.why : "",
      ]);
    assert.deepEqual(said, [
      ["server-certificate", "PEM"],
      ["server-certificate-refused", "no request"],
    ]);
    assert.equal(other.heard.length, 1);
  });

  test("answers a question about a token that could not be asked, and reports why", async () => {
    const reported: string[] = [];
    const onIntrospect = async () => {
      throw new TypeError("a mistake");
    };
    await using at = await publishing({ onIntrospect, report: (line) => reported.push(line) });
    const { socket, heard } = at.broker();
    socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => heard.length === 1);
    socket.write(encodeBrokerMessage({ type: "introspect", id: 7, token: "secret" }));
    await eventually(() => heard.length === 2);
    const { type, id, introspected } = heard[1] as Extract<FeedBody, { type: "introspected" }>;
    assert.deepEqual([type, id, introspected], ["introspected", 7, undefined]);
    assert.match(reported.join(), /could not be asked about: TypeError: a mistake/);
  });

  test("has every broker renew, and tells of each whether it did", async () => {
    await using at = await publishing();
    const brokers = [at.broker(), at.broker(), at.broker()] as const;
    const shows = (serialNumber: string) =>
      encodeBrokerMessage({
        type: "server-certificate",
        serialNumber,
        notBefore: 1,
        notAfter: 2,
        isOurs: true,
      });
    for (const { socket } of brokers)
      socket.write(encodeBrokerMessage({ type: "hello" }) + shows("01"));
    await eventually(() => at.publisher.serverCertificates().length === 3);
    await eventually(() => brokers.every(({ heard }) => heard.length === 1));
    const renewed = at.publisher.renewServerCertificates();
    const isAsked = ({ heard }: { heard: FeedBody[] }) =>
      heard.some(({ type }) => type === "renew-server-certificate");
    await eventually(() => brokers.every(isAsked));
    const [good, full, gone] = brokers;
    good.socket.write(shows("01")); // said again: nothing new
    good.socket.write(shows("02"));
    full.socket.write(encodeBrokerMessage({ type: "not-renewed", why: "the disk is full" }));
    gone.socket.destroy();
    const why = await renewed;
    assert.deepEqual(why.toSorted(), ["a broker did not answer in time", "the disk is full"]);
    const shown = at.publisher.serverCertificates().map((one) => one.serialNumber);
    assert.deepEqual(shown.toSorted(), ["01", "02"]);
  });

  test("asks every broker what it bans, and tells how many did not say", async () => {
    await using at = await publishing({ confirmMs: 2_000 });
    assert.deepEqual(await at.publisher.bans(), { bans: [], brokers: 0, unconfirmed: 0 });
    const [one, other] = [at.broker(), at.broker()];
    for (const { socket } of [one, other]) socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => one.heard.length === 1 && other.heard.length === 1);
    const ban = { of: "address 192.0.2.7", failures: 50, until: 1_000 };
    const asked = at.publisher.bans();
    await eventually(() => [one, other].every(({ heard }) => heard.at(-1)?.type === "bans"));
    one.socket.write(encodeBrokerMessage({ type: "bans", bans: [ban] }));
    other.socket.destroy();
    assert.deepEqual(await asked, { bans: [ban], brokers: 1, unconfirmed: 1 });
  });

  test("has a ban lifted by whoever was away or catching up then too", async () => {
    await using at = await publishing({ longestBacklogBytes: 1_000 });
    const [slow, good] = [at.broker(), at.broker()];
    for (const { socket } of [slow, good]) socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => slow.heard.length === 1 && good.heard.length === 1);
    slow.socket.pause();
    const large = { removedSubjects: [`service:${"x".repeat(200_000)}`] };
    for (let i = 1; i <= 20; i += 1) {
      at.publisher.publish(large);
      await eventually(() => good.heard.at(-1)?.version === i + 1);
    }
    at.publisher.liftBan("address 192.0.2.7", 1_000);
    slow.socket.resume();
    const late = at.broker();
    late.socket.write(encodeBrokerMessage({ type: "hello" }));
    for (const { heard } of [slow, good, late]) {
      const lifted = () => heard.find(({ type }) => type === "lift-ban");
      await eventually(() => lifted() !== undefined);
      const { version, of, at: time } = lifted() as Extract<FeedBody, { type: "lift-ban" }>;
      assert.deepEqual([version, of], [at.publisher.version, "address 192.0.2.7"]);
      assert.equal(
        time,
        heard === good.heard ? undefined : 1_000,
        "only news that comes late is by a clock",
      );
      followed(heard);
    }
  });

  test("forgets the lifting of a ban when no ban of before can be left", async () => {
    await using at = await publishing();
    at.publisher.liftBan("address 192.0.2.7", 1_000);
    at.publisher.liftBan("address 192.0.2.8", 1_001 + longestBanMs);
    const { socket, heard } = at.broker();
    socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => heard.length === 2);
    const lifted = heard.flatMap((body) => (body.type === "lift-ban" ? body.of : []));
    assert.deepEqual(lifted, ["address 192.0.2.8"]);
  });

  test("says that it is alive, at the version it stands at", async () => {
    await using at = await publishing({ aliveMs: 5 });
    const { socket, heard } = at.broker();
    socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => heard.some(({ type }) => type === "alive"));
    at.publisher.publish(change(1));
    await eventually(() => heard.at(-1)?.type === "alive" && heard.at(-1)?.version === 2);
  });
});
