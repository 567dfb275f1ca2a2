import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  encodeProperties,
  encodeVariableByteInteger,
  type Packet,
  type PropertyDefinition,
  type PropertyName,
  type PropertyPlace,
  type PropertyValues,
  properties,
  type Sender,
} from "../src/index.ts";
import { bytes, decodeBody } from "./bytes.ts";

interface Place {
  readonly firstByte: number;
  readonly sender: Sender;
  /** What stands before and behind the properties. */
  readonly before: string;
  readonly after: string;
}

/** Where the properties of each place stand in the smallest packet that has them. */
const places: Readonly<Partial<Record<PropertyPlace, Place>>> = {
  CONNECT: { firstByte: 0x10, sender: "client", before: "'MQTT' 05 02 0000", after: "'c'" },
  WILL: { firstByte: 0x10, sender: "client", before: "'MQTT' 05 06 0000 00 'c'", after: "'t' ''" },
  CONNACK: { firstByte: 0x20, sender: "server", before: "00 00", after: "" },
  PUBLISH: { firstByte: 0x30, sender: "server", before: "'t'", after: "" },
  PUBACK: { firstByte: 0x40, sender: "client", before: "0001 00", after: "" },
  PUBREC: { firstByte: 0x50, sender: "client", before: "0001 00", after: "" },
  PUBREL: { firstByte: 0x62, sender: "client", before: "0001 00", after: "" },
  PUBCOMP: { firstByte: 0x70, sender: "client", before: "0001 00", after: "" },
  SUBSCRIBE: { firstByte: 0x82, sender: "client", before: "0001", after: "'f' 00" },
  SUBACK: { firstByte: 0x90, sender: "server", before: "0001", after: "00" },
  UNSUBSCRIBE: { firstByte: 0xa2, sender: "client", before: "0001", after: "'f'" },
  UNSUBACK: { firstByte: 0xb0, sender: "server", before: "0001", after: "00" },
  DISCONNECT: { firstByte: 0xe0, sender: "client", before: "00", after: "" },
  AUTH: { firstByte: 0xf0, sender: "client", before: "18", after: "" },
};

/** A value of each type on the wire, and as it is read. */
const samples = {
  byte: ["01", 1],
  twoByteInteger: ["0102", 0x0102],
  fourByteInteger: ["80000001", 0x8000_0001],
  variableByteInteger: ["8001", 128],
  utf8String: ["'é'", "é"],
  utf8StringPair: ["'a' ''", ["a", ""]],
  binaryData: ["0002 00ff", Buffer.from([0x00, 0xff])],
} as const;

const names = Object.keys(properties) as PropertyName[];

describe("a property", () => {
  for (const [place, where] of Object.entries(places) as [PropertyPlace, Place][]) {
    const refused = names.filter((name) => !rowOf(name).allowedIn.includes(place));
    const allowed = names.filter((name) => rowOf(name).allowedIn.includes(place));

    test(`that does not belong there is refused in ${place}`, () => {
      for (const name of refused) {
        const expected = { code: "ERR_MQTT_PROPERTY_NOT_ALLOWED", reasonCode: 0x81 };
        assert.throws(() => decodeIn(where, wire(name)), expected, name);
        const values = { [name]: listed(name, sampleOf(name)[1]) } as PropertyValues;
        assert.throws(() => encodeProperties(values, place), expected, name);
      }
    });

    test(`that belongs there is read in ${place}`, () => {
      for (const name of allowed) {
        const values = propertiesIn(decodeIn(where, wire(name)), place);
        assert.deepEqual(values[name], listed(name, sampleOf(name)[1]), name);
      }
    });

    test(`is refused twice in ${place} unless it may be repeated`, () => {
      for (const name of allowed) {
        const twice = () => decodeIn(where, `${wire(name)} ${wireOf(name)}`);
        const once = place === "SUBSCRIBE" || !rowOf(name).repeatable;
        if (once && name !== "userProperty") {
          assert.throws(twice, { code: "ERR_MQTT_PROPERTY_DUPLICATE", reasonCode: 0x82 }, name);
        } else {
          const one = sampleOf(name)[1];
          assert.deepEqual(propertiesIn(twice(), place)[name], [one, one], name);
        }
      }
    });

    test(`is refused in ${place} where it ends too early or too late`, () => {
      for (const name of allowed) {
        const whole = bytes(wire(name));
        for (let length = 1; length < whole.length; length++) {
          const cut = () => decodeIn(where, whole.subarray(0, length).toString("hex"));
          // Cutting between the method that AUTH data need and the data leaves a whole property.
          if (bytes(companions(name)).length === length) continue;
          assert.throws(cut, { code: "ERR_MQTT_TRUNCATED" }, `${name}, ${length} bytes`);
        }
        assert.throws(() => decodeIn(where, `${wire(name)} 00`), {
          code: "ERR_MQTT_PROPERTY_NOT_ALLOWED",
        });
      }
    });
  }

  test("with an identifier that no table has is refused everywhere", () => {
    const known = new Set(names.map((name) => rowOf(name).id));
    for (const [place, where] of Object.entries(places)) {
      for (let id = 0; id < 300; id++) {
        if (known.has(id)) continue;
        const buffer = Buffer.alloc(4);
        const hex = buffer.subarray(0, encodeVariableByteInteger(id, buffer, 0)).toString("hex");
        const expected = { code: "ERR_MQTT_PROPERTY_NOT_ALLOWED" };
        assert.throws(() => decodeIn(where, `${hex} 00`), expected, `${place} ${id}`);
      }
    }
  });

  test("with an identifier padded to two bytes is refused", () => {
    for (const where of Object.values(places)) {
      assert.throws(() => decodeIn(where, "a600 'a' 'b'"), {
        code: "ERR_MQTT_VARIABLE_BYTE_INTEGER",
      });
    }
  });

  test("longer than the packet says is refused everywhere", () => {
    for (const { firstByte, sender, before } of Object.values(places)) {
      for (const length of ["01", "7f", "ffffff7f"]) {
        const body = bytes(`${before} ${length}`);
        assert.throws(() => decodeBody(firstByte, body, 5, { sender }), {
          code: "ERR_MQTT_TRUNCATED",
        });
      }
    }
  });
});

describe("a value outside of its range is refused:", () => {
  const table: readonly (readonly [name: PropertyName, value: string, code: string])[] = [
    ["payloadFormatIndicator", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["requestProblemInformation", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["requestResponseInformation", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["maximumQoS", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["retainAvailable", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["wildcardSubscriptionAvailable", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["subscriptionIdentifierAvailable", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["sharedSubscriptionAvailable", "02", "ERR_MQTT_PROPERTY_VALUE"],
    ["receiveMaximum", "0000", "ERR_MQTT_PROPERTY_VALUE"],
    ["maximumPacketSize", "00000000", "ERR_MQTT_PROPERTY_VALUE"],
    ["subscriptionIdentifier", "00", "ERR_MQTT_PROPERTY_VALUE"],
    ["subscriptionIdentifier", "ff00", "ERR_MQTT_VARIABLE_BYTE_INTEGER"],
    ["topicAlias", "0000", "ERR_MQTT_TOPIC_ALIAS"],
    ["responseTopic", "''", "ERR_MQTT_RESPONSE_TOPIC"],
    ["responseTopic", "'a/+'", "ERR_MQTT_RESPONSE_TOPIC"],
    ["responseTopic", "'#'", "ERR_MQTT_RESPONSE_TOPIC"],
    ["contentType", "0001 00", "ERR_MQTT_UTF8"],
    ["reasonString", "0002 c080", "ERR_MQTT_UTF8"],
    ["userProperty", "'a' 0001 ff", "ERR_MQTT_UTF8"],
    ["userProperty", "0003 eda080 'a'", "ERR_MQTT_UTF8"],
  ];
  for (const [name, value, code] of table) {
    test(`${name} ${value}`, () => {
      for (const [place, where] of Object.entries(places) as [PropertyPlace, Place][]) {
        if (!rowOf(name).allowedIn.includes(place)) continue;
        const property = `${hexId(name)} ${value}`;
        assert.throws(() => decodeIn(where, property), { code }, place);
      }
    });
  }
});

describe("user properties", () => {
  const hex = (count: number) => `${wireOf("userProperty")} `.repeat(count);

  test("over the limit are refused in every place, at the limit they are read", () => {
    for (const [place, where] of Object.entries(places) as [PropertyPlace, Place][]) {
      assert.throws(() => decodeIn(where, hex(4), 3), {
        code: "ERR_MQTT_USER_PROPERTIES",
        reasonCode: 0x97,
      });
      const values = propertiesIn(decodeIn(where, hex(3), 3), place);
      assert.equal(values.userProperty?.length, 3, place);
    }
  });

  test("are not allowed at all where the limit is 0", () => {
    for (const where of Object.values(places)) {
      assert.throws(() => decodeIn(where, hex(1), 0), {
        code: "ERR_MQTT_USER_PROPERTIES",
      });
    }
  });

  test("keep their order and their repeated names", () => {
    const { CONNECT: where } = places;
    assert.ok(where);
    const packet = decodeIn(where, "26 'b' '1' 26 'a' '2' 26 'b' '1'");
    assert.deepEqual(propertiesIn(packet, "CONNECT").userProperty, [
      ["b", "1"],
      ["a", "2"],
      ["b", "1"],
    ]);
  });
});

test("authentication data without an authentication method are refused wherever they may stand", () => {
  for (const place of ["CONNECT", "CONNACK", "AUTH"] as const) {
    const { firstByte = 0, sender = "client", before = "", after = "" } = places[place] ?? {};
    const body = bytes(`${before} 05 ${wireOf("authenticationData")} ${after}`);
    const expected = { code: "ERR_MQTT_AUTHENTICATION_METHOD", reasonCode: 0x82 };
    assert.throws(() => decodeBody(firstByte, body, 5, { sender }), expected, place);
  }
});

function rowOf(name: PropertyName): PropertyDefinition {
  return properties[name];
}

function sampleOf(name: PropertyName): readonly [hex: string, value: unknown] {
  return samples[rowOf(name).type];
}

function hexId(name: PropertyName): string {
  return rowOf(name).id.toString(16).padStart(2, "0");
}

function wireOf(name: PropertyName): string {
  return `${hexId(name)} ${sampleOf(name)[0]}`;
}

/** What must stand beside a property so that it alone decides. */
function companions(name: PropertyName): string {
  return name === "authenticationData" ? wireOf("authenticationMethod") : "";
}

function wire(name: PropertyName): string {
  return `${companions(name)} ${wireOf(name)}`;
}

function listed(name: PropertyName, value: unknown): unknown {
  return rowOf(name).repeatable ? [value] : value;
}

/** The smallest packet with these properties; AUTH gets the method it cannot do without. */
function decodeIn(
  { firstByte, sender, before, after }: Place,
  notation: string,
  maximumUserProperties = 1_000,
): Packet {
  const method = firstByte === 0xf0 && !/^\s*15/.test(notation) ? "15 'm'" : "";
  const section = bytes(`${method} ${notation}`);
  const length = Buffer.alloc(4);
  const end = encodeVariableByteInteger(section.length, length, 0);
  const body = Buffer.concat([bytes(before), length.subarray(0, end), section, bytes(after)]);
  return decodeBody(firstByte, body, 5, { sender, maximumUserProperties });
}

function propertiesIn(packet: Packet, place: PropertyPlace): PropertyValues {
  if (packet.type === "CONNECT" && place === "WILL") return packet.will?.properties ?? {};
  return "properties" in packet ? packet.properties : {};
}
