import { noise } from "./noise.ts";
import { cyclesPerSecond, type Vitals } from "./vitals.ts";

/** One second of one wave. */
export interface Wave {
  readonly code: string;
  readonly unit: string;
  /** What one count of a sample is worth in the unit. */
  readonly scale: number;
  readonly samplesPerSecond: number;
  readonly samples: readonly number[];
}

/** One second of each wave that the device shows; the next second goes on where this one ends. */
export function waves(vitals: Vitals): readonly Wave[] {
  if (vitals.kind === "monitor") {
    return [
      wave(vitals, "MDC_ECG_ELEC_POTL_II", "MDC_DIM_MICRO_VOLT", 1, 500, ecgMicrovolts),
      wave(vitals, "MDC_PULS_OXIM_PLETH", "MDC_DIM_DIMLESS", 1, 250, pleth),
    ];
  }
  if (vitals.kind === "ventilator") {
    const { peakPressure = 20, peep = 5, tidalVolume = 450 } = vitals.values;
    return [
      wave(vitals, "MDC_PRESS_AWAY", "MDC_DIM_CM_H2O", 0.1, 58, (phase) =>
        airwayPressure(phase, peakPressure, peep),
      ),
      wave(vitals, "MDC_FLOW_AWAY", "MDC_DIM_MILLI_L_PER_SEC", 1, 58, (phase) =>
        airwayFlow(phase, tidalVolume * cyclesPerSecond(vitals)),
      ),
    ];
  }
  return [];
}

function wave(
  vitals: Vitals,
  code: string,
  unit: string,
  scale: number,
  samplesPerSecond: number,
  shape: (phase: number) => number,
): Wave {
  const perSample = cyclesPerSecond(vitals) / samplesPerSecond;
  const samples = Array.from({ length: samplesPerSecond }, (_, i) => {
    const grain = noise(vitals.seed, vitals.tick * samplesPerSecond + i, 500) * 4;
    return Math.round(shape((vitals.phase + perSample * i) % 1) + grain);
  });
  return { code, unit, scale, samplesPerSecond, samples };
}

/** P, Q, R, S and T of lead II: where in the beat, how wide, how high. */
const deflections = [
  [0.18, 0.025, 110],
  [0.275, 0.009, -90],
  [0.3, 0.011, 1_150],
  [0.325, 0.01, -240],
  [0.55, 0.045, 290],
] as const;

function ecgMicrovolts(phase: number): number {
  let sum = -22;
  for (const [at, width, height] of deflections) {
    const distance = (phase - at) / width;
    if (distance > -4 && distance < 4) sum += height * Math.exp(-0.5 * distance * distance);
  }
  return sum;
}

/** A systolic upstroke and a dicrotic bump, as 12 bits of an analogue-digital converter. */
function pleth(phase: number): number {
  const systolic = Math.exp(-0.5 * ((phase - 0.48) / 0.1) ** 2);
  const dicrotic = Math.exp(-0.5 * ((phase - 0.74) / 0.09) ** 2);
  return 1_150 + 1_900 * systolic + 700 * dicrotic;
}

const inspiration = 0.35;

/** Pressure-controlled breath, in tenths of cmH2O. */
function airwayPressure(phase: number, peak: number, peep: number): number {
  const above =
    phase < inspiration
      ? 1 - Math.exp(-phase / 0.04)
      : Math.exp(-(phase - inspiration) / 0.05) * (1 - Math.exp(-inspiration / 0.04));
  return 10 * (peep + (peak - peep) * above);
}

/** What flows in during the inspiration flows out during the expiration; mean flow in mL/s over the whole breath. */
function airwayFlow(phase: number, meanFlow: number): number {
  if (phase < inspiration) return (meanFlow / 0.105) * Math.exp(-phase / 0.12);
  return -(meanFlow / 0.178) * Math.exp(-(phase - inspiration) / 0.18);
}
