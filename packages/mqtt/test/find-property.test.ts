import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  encodePacket,
  findBytesProperty,
  findStringProperty,
  PublishFrame,
  userPropertiesIn,
} from "../src/index.ts";

const text = fc.string({ maxLength: 20 }).filter((one) => !/[\0#+]/.test(one));
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const arbitraryProperties = fc.record({
  contentType: optional(text),
  responseTopic: optional(text.filter((one) => one !== "")),
  correlationData: optional(fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes))),
  messageExpiryInterval: optional(fc.nat(0xffff_ffff)),
  payloadFormatIndicator: optional(fc.constantFrom(0, 1)),
  userProperty: optional(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 })),
});

describe("a property that is looked for in the bytes of a PUBLISH", () => {
  test("is what was written there, whatever stands beside it", () => {
    fc.assert(
      fc.property(arbitraryProperties, (written) => {
        const properties = Object.fromEntries(
          Object.entries(written).filter(([, value]) => value !== undefined),
        );
        const base = { qos: 0, retain: false, dup: false, packetId: undefined } as const;
        const payload = Buffer.alloc(0);
        const bytes = encodePacket(
          { type: "PUBLISH", topic: "t", payload, ...base, properties },
          5,
        );
        const packet = Buffer.from(bytes);
        const start = 1 + packet.subarray(1).findIndex((byte) => byte < 0x80) + 1;
        const frame = new PublishFrame();
        frame.decode(packet[0] as number, packet, start, packet.length, 5);
        const { propertiesStart: from, propertiesEnd: to } = frame;
        const { contentType, responseTopic, correlationData, userProperty = [] } = written;
        assert.deepEqual(findBytesProperty("correlationData", packet, from, to), correlationData);
        assert.equal(findStringProperty("contentType", packet, from, to), contentType);
        assert.equal(findStringProperty("responseTopic", packet, from, to), responseTopic);
        assert.deepEqual(userPropertiesIn(packet, from, to), userProperty.flat());
      }),
      { numRuns: 200 },
    );
  });
});
