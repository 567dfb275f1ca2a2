import type { DeviceKind } from "./load.ts";
import { chance } from "./noise.ts";

/** Something that happens to a patient: which quantities it pushes, and how far from where they were. */
interface EpisodeDefinition {
  readonly kind: DeviceKind;
  readonly seconds: number;
  readonly aims: Readonly<Record<string, number>>;
}

/** The scripted episodes; each drives at least one quantity over its alarm limit and lets it come back. */
export const episodes = {
  desaturation: {
    kind: "monitor",
    seconds: 25,
    aims: { spo2: 83, heartRate: 108, respirationRate: 26 },
  },
  tachycardia: { kind: "monitor", seconds: 35, aims: { heartRate: 141, systolic: 98, spo2: 95 } },
  occlusion: { kind: "pump", seconds: 30, aims: { linePressure: 570, rate: 0 } },
  highAirwayPressure: {
    kind: "ventilator",
    seconds: 18,
    aims: { peakPressure: 43, tidalVolume: 330, respirationRate: 24 },
  },
} as const satisfies Readonly<Record<string, EpisodeDefinition>>;

export type EpisodeName = keyof typeof episodes;

/** An episode that a device is given for the start, so that the first minutes of a ward have something to show. */
export interface Opening {
  readonly name: EpisodeName;
  readonly startsAt: number;
}

/** The first minutes: the n-th device of a kind, and the second its episode starts. */
const openings: Readonly<Record<DeviceKind, Readonly<Record<number, Opening>>>> = {
  monitor: {
    1: { name: "desaturation", startsAt: 12 },
    4: { name: "tachycardia", startsAt: 80 },
  },
  pump: { 0: { name: "occlusion", startsAt: 35 } },
  ventilator: { 0: { name: "highAirwayPressure", startsAt: 60 } },
};

/** The opening of the n-th device of its kind, if it has one. */
export const openingOf = (kind: DeviceKind, n: number): Opening | undefined => openings[kind][n];

const slotSeconds = 300;
const shareOfSlots = 0.4;

/** The episode a device is in at a second: its opening, later about every third slot of five minutes one by chance. */
export function episodeAt(
  kind: DeviceKind,
  seed: number,
  tick: number,
  opening?: Opening,
): EpisodeName | undefined {
  if (opening !== undefined && isDuring(opening.name, opening.startsAt, tick)) return opening.name;
  const slot = Math.floor(tick / slotSeconds);
  if (slot === 0 || chance(seed, slot, 100) >= shareOfSlots) return undefined;
  const choices = namesOf(kind);
  const name = choices[Math.floor(chance(seed, slot, 101) * choices.length)];
  if (name === undefined) return undefined;
  const latest = slotSeconds - episodes[name].seconds - 60; // an episode is over before the next slot may start one
  const startsAt = slot * slotSeconds + Math.floor(chance(seed, slot, 102) * latest);
  return isDuring(name, startsAt, tick) ? name : undefined;
}

const isDuring = (name: EpisodeName, startsAt: number, tick: number): boolean =>
  tick >= startsAt && tick < startsAt + episodes[name].seconds;

function namesOf(kind: DeviceKind): readonly EpisodeName[] {
  return (Object.keys(episodes) as EpisodeName[]).filter((name) => episodes[name].kind === kind);
}
