/**
 * A number in [-1, 1) that depends on nothing but its arguments: the same seed gives the same patient, and no
 * generator has to be carried along. (A 32-bit integer hash with full avalanche.)
 */
export function noise(seed: number, tick: number, channel: number): number {
  let h = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(tick + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ Math.imul(channel + 1, 0x27d4eb2f), 0x165667b1);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 2 ** 31 - 1;
}

/** The same, in [0, 1). */
export const chance = (seed: number, tick: number, channel: number): number =>
  (noise(seed, tick, channel) + 1) / 2;

/** A seed from a name: FNV-1a over its characters. */
export function seedOf(name: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
