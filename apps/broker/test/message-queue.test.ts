import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { importanceOf } from "../src/session/importance.ts";
import { BrokerParts, type Link } from "./broker-parts.ts";

const uuid = "00000000-0000-4000-8000-000000000001";
const of = (channel: string) => `hospital/north/icu/device/${uuid}/${channel}`;

describe("a full queue", () => {
  /** A session that is away, with room for three messages. */
  function scene() {
    const parts = new BrokerParts({ limits: { queuedMessages: 3 } });
    const kept = { cleanStart: false, properties: { sessionExpiryInterval: 1_000 } } as const;
    const reader = parts.link(parts.service("a"));
    reader.connect({ clientId: "reader", ...kept });
    const subscription = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    reader.send({
      type: "SUBSCRIBE",
      packetId: 1,
      subscriptions: [{ filter: "#", qos: 1, ...subscription }],
      properties: {},
    });
    reader.drop();
    const writer = parts.link(parts.service("b"));
    writer.connect();
    const publish = (channel: string, text: string) =>
      writer.send({
        type: "PUBLISH",
        topic: channel.includes("/") ? channel : of(channel),
        qos: 1,
        packetId: 1,
        retain: false,
        dup: false,
        payload: Buffer.from(text),
        properties: {},
      });
    const collect = () => {
      const again: Link = parts.link(parts.service("a"));
      const packets = again.connect({ clientId: "reader", ...kept });
      return packets.flatMap((packet) =>
        packet.type === "PUBLISH" ? [Buffer.from(packet.payload).toString()] : [],
      );
    };
    return { parts, publish, collect };
  }

  const cases: readonly (readonly [string, readonly (readonly [string, string])[], string])[] = [
    [
      "gives up the oldest of one class",
      [
        ["alarm", "1"],
        ["alarm", "2"],
        ["alarm", "3"],
        ["alarm", "4"],
      ],
      "234",
    ],
    [
      "gives up telemetry for an alarm, however new",
      [
        ["alarm", "1"],
        ["alarm", "2"],
        ["telemetry", "3"],
        ["alarm", "4"],
      ],
      "124",
    ],
    [
      "gives up telemetry before a command",
      [
        ["command", "1"],
        ["telemetry", "2"],
        ["alarm", "3"],
        ["alarm", "4"],
      ],
      "134",
    ],
    [
      "gives up a command before an alarm",
      [
        ["alarm", "1"],
        ["command/response", "2"],
        ["alarm", "3"],
        ["alarm", "4"],
      ],
      "134",
    ],
    [
      "takes no telemetry in the place of an alarm",
      [
        ["alarm", "1"],
        ["alarm", "2"],
        ["alarm", "3"],
        ["telemetry", "4"],
      ],
      "123",
    ],
    [
      "counts every other topic as telemetry",
      [
        ["any/alarm", "1"],
        ["alarm", "2"],
        ["alarm", "3"],
        ["alarm", "4"],
      ],
      "234",
    ],
    [
      "keeps the order among classes",
      [
        ["telemetry", "1"],
        ["alarm", "2"],
        ["command", "3"],
      ],
      "123",
    ],
  ];
  for (const [behaviour, messages, left] of cases) {
    test(behaviour, () => {
      const { parts, publish, collect } = scene();
      for (const [channel, text] of messages) publish(channel, text);
      const dropped = parts.events.filter(({ type }) => type === "messages-dropped");
      assert.equal(dropped.length, messages.length > 3 ? 1 : 0);
      assert.equal(collect().join(""), left);
    });
  }

  test("says which class a topic is in", () => {
    const classes = [
      "telemetry",
      "command",
      "command/response",
      "config",
      "firmware/status",
      "alarm",
    ];
    assert.deepEqual(
      classes.map((channel) => importanceOf(of(channel))),
      [0, 1, 1, 1, 1, 2],
    );
    assert.equal(importanceOf("alarm"), 0);
    assert.equal(importanceOf(`hospital/deid/x/y/z/alarm`), 0);
  });
});
