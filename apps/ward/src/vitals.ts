import { type EpisodeName, episodeAt, episodes, type Opening } from "./episodes.ts";
import type { DeviceKind } from "./load.ts";
import { chance, noise } from "./noise.ts";
import { type Quantity, quantitiesOf } from "./quantities.ts";

/** What a device knows about its patient at one second. */
export interface Vitals {
  readonly kind: DeviceKind;
  readonly seed: number;
  /** Seconds since the start. */
  readonly tick: number;
  readonly opening: Opening | undefined;
  readonly episode: EpisodeName | undefined;
  /** The patient. */
  readonly values: Readonly<Record<string, number>>;
  /** What the device has measured last, rounded as it shows it. */
  readonly measured: Readonly<Record<string, number>>;
  /** Where in a beat, or a breath of a ventilator, this second starts: [0, 1). */
  readonly phase: number;
}

/** A patient at second 0; the same seed gives the same patient for ever. */
export function firstVitals(kind: DeviceKind, seed: number, opening?: Opening): Vitals {
  const settled = quantitiesOf(kind).map(
    ([name, quantity], channel) => [name, aimOf(quantity, seed, 0, channel)] as const,
  );
  const values = derive(kind, Object.fromEntries(settled), seed);
  const measured = measure(kind, values, {}, seed, 0);
  return { kind, seed, tick: 0, opening, episode: undefined, values, measured, phase: 0 };
}

/** The same patient one second later. */
export function nextVitals(vitals: Vitals): Vitals {
  const { kind, seed, opening } = vitals;
  const tick = vitals.tick + 1;
  const episode = episodeAt(kind, seed, tick, opening);
  const aims: Readonly<Record<string, number>> =
    episode === undefined ? {} : episodes[episode].aims;
  const moved = quantitiesOf(kind).map(([name, quantity], channel) => {
    const value = vitals.values[name] ?? quantity.usual[0];
    const aim = aims[name] ?? aimOf(quantity, seed, tick, channel);
    const step = (aim - value) * quantity.pull + noise(seed, tick, channel) * quantity.jitter;
    return [name, clamp(value + step, quantity.bounds)] as const;
  });
  const values = derive(kind, Object.fromEntries(moved), seed);
  const measured = measure(kind, values, vitals.measured, seed, tick);
  const phase = (vitals.phase + cyclesPerSecond(vitals)) % 1;
  return { kind, seed, tick, opening, episode, values, measured, phase };
}

/** Beats, or breaths of a ventilator, per second. */
export function cyclesPerSecond({ values }: Vitals): number {
  return (values["heartRate"] ?? values["respirationRate"] ?? 0) / 60;
}

const driftSeconds = 90;

/** Where a value is drawn to: this patient's own usual value, slowly wandering. */
function aimOf(quantity: Quantity, seed: number, tick: number, channel: number): number {
  const [low, high] = quantity.usual;
  const own = low + (high - low) * chance(seed, 0, channel + 200);
  const knot = Math.floor(tick / driftSeconds);
  const share = (tick % driftSeconds) / driftSeconds;
  const from = noise(seed, knot, channel + 300);
  const to = noise(seed, knot + 1, channel + 300);
  return clamp(own + (from + (to - from) * share) * quantity.drift, quantity.bounds);
}

/** Quantities that follow from others. */
function derive(
  kind: DeviceKind,
  values: Record<string, number>,
  seed: number,
): Readonly<Record<string, number>> {
  const { heartRate = 0, systolic = 0, diastolic = 0, rate = 0, infused = 0 } = values;
  if (kind === "monitor") {
    const lower = Math.min(diastolic, systolic - 15);
    const pulseRate = heartRate + noise(seed, Math.round(heartRate), 400) * 0.4;
    return { ...values, pulseRate, diastolic: lower, meanPressure: lower + (systolic - lower) / 3 };
  }
  if (kind === "pump") return { ...values, infused: (infused + rate / 3_600) % 500 }; // a new bag after 500 mL
  return values;
}

function measure(
  kind: DeviceKind,
  values: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  seed: number,
  tick: number,
): Readonly<Record<string, number>> {
  const rows = quantitiesOf(kind).map(([name, { digits, measuredEvery = 1 }]) => {
    const last = before[name];
    const isDue = last === undefined || (tick + seed) % measuredEvery === 0;
    return [name, isDue ? Number((values[name] ?? 0).toFixed(digits)) : last] as const;
  });
  return Object.fromEntries(rows);
}

const clamp = (value: number, [low, high]: readonly [number, number]): number =>
  Math.min(high, Math.max(low, value));
