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
  type World,
} from "@wardmq/feed";
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
    report: () => {},
    ...options,
  });
  const server = createServer((socket) => publisher.accept(socket));
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
  return { publisher, broker, [Symbol.asyncDispose]: () => stack.disposeAsync() };
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

  test("cuts off a broker that reads nothing, and does not keep the others waiting", async () => {
    await using at = await publishing({ longestBacklogBytes: 100_000 });
    const [stuck, good] = [at.broker(), at.broker()];
    for (const { socket } of [stuck, good]) socket.write(encodeBrokerMessage({ type: "hello" }));
    await eventually(() => stuck.heard.length === 1 && good.heard.length === 1);
    stuck.socket.pause();
    const large = { removedSubjects: ["x".repeat(100_000)] };
    let last = 0;
    for (let i = 0; i < 30; i += 1) {
      at.publisher.publish(large);
      last = at.publisher.version;
      await eventually(() => good.heard.at(-1)?.version === last);
    }
    const answers = await at.publisher.publish(change(1))();
    assert.equal(answers.unconfirmed, 1); // of the good one, which confirms nothing; the stuck one is gone
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
