import { type PropertyName, type PropertyType, properties } from "./properties.ts";

const typeById = new Map<number, PropertyType>(
  Object.values(properties).map(({ id, type }) => [id, type]),
);

/** The UTF-8 String of a property among well-formed properties without their length; undefined where it is absent. */
export function findStringProperty(
  name: PropertyName,
  buffer: Buffer,
  start: number,
  end: number,
): string | undefined {
  return findBytesProperty(name, buffer, start, end)?.toString("utf8");
}

/** As `findStringProperty`: the bytes of a UTF-8 String or of Binary Data, where they lie in the buffer. */
export function findBytesProperty(
  name: PropertyName,
  buffer: Buffer,
  start: number,
  end: number,
): Buffer | undefined {
  const { id } = properties[name];
  let at = start;
  while (at < end) {
    const value = at + 1; // no identifier of a property needs a second byte
    const next = endOfValue(typeById.get(buffer[at] as number), buffer, value);
    if (buffer[at] === id) return buffer.subarray(value + 2, next);
    at = next;
  }
  return undefined;
}

function endOfValue(type: PropertyType | undefined, buffer: Buffer, at: number): number {
  switch (type) {
    case "byte":
      return at + 1;
    case "twoByteInteger":
      return at + 2;
    case "fourByteInteger":
      return at + 4;
    case "variableByteInteger": {
      let end = at;
      while ((buffer[end] as number) >= 0x80) end += 1;
      return end + 1;
    }
    case "utf8StringPair":
      return endOfLengthed(buffer, endOfLengthed(buffer, at));
    case "utf8String":
    case "binaryData":
      return endOfLengthed(buffer, at);
    default:
      throw new TypeError("not well-formed properties");
  }
}

function endOfLengthed(buffer: Buffer, at: number): number {
  return at + 2 + buffer.readUInt16BE(at);
}

/** Names and values of all User Properties among well-formed properties without their length. */
export function userPropertiesIn(buffer: Buffer, start: number, end: number): readonly string[] {
  const texts: string[] = [];
  let at = start;
  while (at < end) {
    const value = at + 1;
    const next = endOfValue(typeById.get(buffer[at] as number), buffer, value);
    if (buffer[at] === properties.userProperty.id) {
      const middle = endOfLengthed(buffer, value);
      texts.push(
        buffer.toString("utf8", value + 2, middle),
        buffer.toString("utf8", middle + 2, next),
      );
    }
    at = next;
  }
  return texts;
}
