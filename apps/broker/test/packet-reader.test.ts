import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeVariableByteInteger, MqttError, variableByteIntegerLength } from "@wardmq/mqtt";
import fc from "fast-check";
import { MemoryBudget } from "../src/connection/memory-budget.ts";
import { PacketReader } from "../src/connection/packet-reader.ts";

const maximum = 40_000;

interface Sent {
  readonly firstByte: number;
  readonly body: Buffer;
}

const bodyLength = fc.oneof(
  fc.nat(300),
  fc.constantFrom(0, 1, 126, 127, 128, 2_043, 2_044, 2_045, 2_046, 2_048, 4_096, 16_383, 16_384),
  fc.nat(20_000),
);
const sent: fc.Arbitrary<Sent> = fc
  .tuple(fc.nat(255), bodyLength, fc.nat(255))
  .map(([firstByte, length, seed]) => {
    const body = Buffer.alloc(length);
    for (let i = 0; i < length; i += 1) body[i] = (seed + i * 7) & 0xff;
    return { firstByte, body };
  });
/** Where a stream is cut: mostly into small pieces at first, then anywhere. */
const cuts = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 9_000 })),
  { maxLength: 40, size: "max" },
);

function encode({ firstByte, body }: Sent): Buffer {
  const header = Buffer.alloc(1 + variableByteIntegerLength(body.length));
  header[0] = firstByte;
  encodeVariableByteInteger(body.length, header, 1);
  return Buffer.concat([header, body]);
}

function pieces(stream: Buffer, sizes: readonly number[]): Buffer[] {
  const out: Buffer[] = [];
  let at = 0;
  for (const size of sizes) {
    if (at >= stream.length) break;
    out.push(Buffer.from(stream.subarray(at, at + size))); // a copy: nothing beyond the piece can be seen
    at += size;
  }
  if (at < stream.length) out.push(Buffer.from(stream.subarray(at)));
  return out;
}

function reading(limit = maximum) {
  const budget = new MemoryBudget(0);
  const packets: Sent[] = [];
  const reader = new PacketReader(
    limit,
    {
      packet: (firstByte, buffer, start, end) =>
        packets.push({ firstByte, body: Buffer.from(buffer.subarray(start, end)) }),
    },
    budget,
  );
  return { budget, packets, reader };
}

function refusal(limit: number, stream: Buffer, sizes: readonly number[]): string | undefined {
  const { reader, budget } = reading(limit);
  try {
    for (const piece of pieces(stream, sizes)) reader.read(piece);
  } catch (error) {
    assert.ok(error instanceof MqttError);
    reader.discard();
    assert.equal(budget.partial, 0);
    return error.code;
  }
  return undefined;
}

describe("PacketReader", () => {
  test("refuses a length that is too large, however it arrives, and takes the largest that is not", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5_000 }), cuts, (limit, sizes) => {
        const overhead = (total: number) => 1 + variableByteIntegerLength(total - 2);
        const packet = (total: number) =>
          encode({ firstByte: 0x30, body: Buffer.alloc(total - overhead(total)) });
        const exact = packet(limit);
        const larger = packet(exact.length > limit ? limit : limit + 1);
        if (exact.length === limit) assert.equal(refusal(limit, exact, sizes), undefined);
        if (larger.length > limit) {
          assert.equal(refusal(limit, larger, sizes), "ERR_MQTT_PACKET_TOO_LARGE");
        }
      }),
    );
  });

  test("refuses a large length before any byte of the packet is there", () => {
    const { reader, budget } = reading(1_000);
    reader.read(Buffer.from([0x30]));
    assert.throws(() => reader.read(Buffer.from([0xff, 0xff, 0xff, 0x7f])), {
      code: "ERR_MQTT_PACKET_TOO_LARGE",
    });
    assert.ok(budget.partial <= 2_048);
  });

  test("refuses lengths of five bytes and lengths that are not minimal, however they arrive", () => {
    const wrong = ["3080808080", "30ffffffff01", "308000", "30ff00", "30808000", "30ffffff00"];
    for (const hex of wrong) {
      const stream = Buffer.from(`${hex}0000000000`, "hex");
      for (const sizes of [[], [1], [1, 1], [1, 1, 1], [2, 1], [3], [1, 1, 1, 1], [1, 3]]) {
        assert.equal(refusal(maximum, stream, sizes), "ERR_MQTT_VARIABLE_BYTE_INTEGER", hex);
      }
    }
  });

  test("hands on the same packets from every segmentation, and gives back what it held", () => {
    fc.assert(
      fc.property(fc.array(sent, { maxLength: 12, size: "max" }), cuts, (packets, sizes) => {
        const { reader, budget, packets: got } = reading();
        let count = 0;
        for (const piece of pieces(Buffer.concat(packets.map(encode)), sizes)) {
          count += reader.read(piece);
          assert.equal(budget.partial, reader.partialBytes);
        }
        assert.deepEqual(got, packets);
        assert.equal(count, packets.length);
        assert.equal(budget.partial, 0);
      }),
    );
  });

  test("holds no more than twice what has arrived of a packet, or its smallest buffer", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3_000, max: 35_000 }), cuts, (length, sizes) => {
        const { reader, budget } = reading();
        const stream = encode({ firstByte: 0x30, body: Buffer.alloc(length) });
        let arrived = 0;
        for (const piece of pieces(stream.subarray(0, -1), sizes)) {
          reader.read(piece);
          arrived += piece.length;
          assert.ok(reader.partialBytes <= Math.max(2_048, 2 * arrived));
        }
        reader.discard();
        assert.equal(budget.partial, 0);
      }),
    );
  });

  test("takes a larger packet as soon as the handler allows it, in the same read", () => {
    const budget = new MemoryBudget(0);
    const lengths: number[] = [];
    const reader = new PacketReader(
      10,
      {
        packet: (_, __, start, end) => {
          lengths.push(end - start);
          reader.maximumPacketBytes = 1_000;
        },
      },
      budget,
    );
    reader.read(
      Buffer.concat([
        encode({ firstByte: 0x10, body: Buffer.alloc(4) }),
        encode({ firstByte: 0x30, body: Buffer.alloc(500) }),
      ]),
    );
    assert.deepEqual(lengths, [4, 500]);
  });

  test("ignores what follows once the handler has discarded it", () => {
    const budget = new MemoryBudget(0);
    let packets = 0;
    const reader = new PacketReader(
      100,
      {
        packet: () => {
          packets += 1;
          reader.discard();
        },
      },
      budget,
    );
    reader.read(Buffer.from("c0", "hex"));
    reader.read(Buffer.from("00c000c0", "hex"));
    reader.read(Buffer.from("00ffffffffffff", "hex"));
    assert.equal(packets, 1);
    assert.equal(budget.partial, 0);
  });
});
