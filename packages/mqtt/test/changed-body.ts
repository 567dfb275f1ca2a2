import fc from "fast-check";

export type Change = readonly [
  kind: "set" | "insert" | "remove" | "cut",
  where: number,
  byte: number,
];

/** A few small changes to the bytes of a packet, so that they are still nearly one. */
export const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.tuple(
    fc.constantFrom("set", "insert", "remove", "cut"),
    fc.nat(),
    fc.oneof(fc.nat(0xff), fc.constantFrom(0x00, 0x01, 0x7f, 0x80, 0xff)),
  ),
  { minLength: 1, maxLength: 3 },
);

/** The bytes with the changes made. */
export function changedBody(body: Buffer, edits: readonly Change[]): Buffer {
  return edits.reduce<Buffer>((bytes, [kind, where, byte]) => {
    const at = where % (bytes.length + 1);
    if (kind === "cut") return bytes.subarray(0, at);
    const middle = kind === "remove" ? [] : [byte];
    const rest = bytes.subarray(kind === "insert" ? at : at + 1);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(middle), rest]);
  }, body);
}
