import type { DeviceKind } from "./load.ts";

export type Priority = "low" | "medium" | "high";

export interface AlarmLimit {
  readonly at: number;
  readonly text: string;
  readonly priority: Priority;
}

/** One quantity that a device measures: how it is written, how it behaves, and when it alarms. */
export interface Quantity {
  readonly code: string;
  readonly unit: string;
  /** Where a settled patient's value lies; each patient gets an own place in it. */
  readonly usual: readonly [number, number];
  /** What is never left, whatever happens. */
  readonly bounds: readonly [number, number];
  /** Size of the change from second to second, and of the slow drift over minutes. */
  readonly jitter: number;
  readonly drift: number;
  /** Share of the distance to its aim that the value covers in a second. */
  readonly pull: number;
  readonly digits: number;
  /** Seconds between two measurements; 1 where it is left out. */
  readonly measuredEvery?: number;
  readonly low?: AlarmLimit;
  readonly high?: AlarmLimit;
  /** How far inside its limit a value must be again before the alarm ends. */
  readonly margin?: number;
}

/** What each kind of device measures. Codes and units are written as IEEE 11073-10101 writes its reference ids. */
export const quantities = {
  monitor: {
    heartRate: {
      code: "MDC_ECG_HEART_RATE",
      unit: "MDC_DIM_BEAT_PER_MIN",
      usual: [64, 94],
      bounds: [40, 170],
      jitter: 0.9,
      drift: 6,
      pull: 0.16,
      digits: 0,
      low: { at: 50, text: "heart rate low", priority: "high" },
      high: { at: 120, text: "heart rate high", priority: "high" },
      margin: 2,
    },
    spo2: {
      code: "MDC_PULS_OXIM_SAT_O2",
      unit: "MDC_DIM_PERCENT",
      usual: [95.5, 98.5],
      bounds: [76, 100],
      jitter: 0.15,
      drift: 0.8,
      pull: 0.12,
      digits: 0,
      low: { at: 90, text: "SpO2 low", priority: "high" },
      margin: 1,
    },
    pulseRate: {
      code: "MDC_PULS_OXIM_PULS_RATE",
      unit: "MDC_DIM_BEAT_PER_MIN",
      usual: [64, 94],
      bounds: [40, 170],
      jitter: 0.5,
      drift: 0,
      pull: 0.5,
      digits: 0,
    },
    respirationRate: {
      code: "MDC_RESP_RATE",
      unit: "MDC_DIM_RESP_PER_MIN",
      usual: [12.5, 19],
      bounds: [6, 38],
      jitter: 0.4,
      drift: 2,
      pull: 0.1,
      digits: 0,
      low: { at: 8, text: "respiration low", priority: "high" },
      high: { at: 30, text: "respiration high", priority: "medium" },
      margin: 1,
    },
    systolic: {
      code: "MDC_PRESS_BLD_NONINV_SYS",
      unit: "MDC_DIM_MMHG",
      usual: [108, 136],
      bounds: [75, 185],
      jitter: 0.8,
      drift: 8,
      pull: 0.05,
      digits: 0,
      measuredEvery: 60,
      low: { at: 90, text: "blood pressure low", priority: "medium" },
      high: { at: 160, text: "blood pressure high", priority: "medium" },
      margin: 2,
    },
    diastolic: {
      code: "MDC_PRESS_BLD_NONINV_DIA",
      unit: "MDC_DIM_MMHG",
      usual: [64, 82],
      bounds: [40, 110],
      jitter: 0.6,
      drift: 5,
      pull: 0.05,
      digits: 0,
      measuredEvery: 60,
    },
    meanPressure: {
      code: "MDC_PRESS_BLD_NONINV_MEAN",
      unit: "MDC_DIM_MMHG",
      usual: [78, 100],
      bounds: [50, 135],
      jitter: 0.2,
      drift: 0,
      pull: 0.5,
      digits: 0,
      measuredEvery: 60,
      low: { at: 60, text: "mean pressure low", priority: "high" },
      margin: 2,
    },
    temperature: {
      code: "MDC_TEMP_BODY",
      unit: "MDC_DIM_DEGC",
      usual: [36.5, 37.5],
      bounds: [34.5, 40.5],
      jitter: 0.01,
      drift: 0.2,
      pull: 0.02,
      digits: 1,
      high: { at: 38.5, text: "temperature high", priority: "low" },
      margin: 0.2,
    },
  },
  ventilator: {
    peakPressure: {
      code: "MDC_PRESS_AWAY_INSP_PEAK",
      unit: "MDC_DIM_CM_H2O",
      usual: [18, 24],
      bounds: [8, 50],
      jitter: 0.4,
      drift: 2,
      pull: 0.35,
      digits: 1,
      low: { at: 10, text: "airway pressure low", priority: "high" },
      high: { at: 35, text: "airway pressure high", priority: "high" },
      margin: 1,
    },
    peep: {
      code: "MDC_PRESS_AWAY_END_EXP_POS",
      unit: "MDC_DIM_CM_H2O",
      usual: [5, 8],
      bounds: [3, 12],
      jitter: 0.05,
      drift: 0.2,
      pull: 0.3,
      digits: 1,
    },
    tidalVolume: {
      code: "MDC_VOL_AWAY_TIDAL",
      unit: "MDC_DIM_MILLI_L",
      usual: [420, 480],
      bounds: [200, 650],
      jitter: 4,
      drift: 15,
      pull: 0.3,
      digits: 0,
      low: { at: 280, text: "tidal volume low", priority: "medium" },
      margin: 15,
    },
    respirationRate: {
      code: "MDC_VENT_RESP_RATE",
      unit: "MDC_DIM_RESP_PER_MIN",
      usual: [14, 18],
      bounds: [8, 35],
      jitter: 0.1,
      drift: 0.5,
      pull: 0.2,
      digits: 0,
    },
    oxygen: {
      code: "MDC_CONC_AWAY_O2_INSP",
      unit: "MDC_DIM_PERCENT",
      usual: [35, 45],
      bounds: [21, 100],
      jitter: 0.1,
      drift: 0.5,
      pull: 0.2,
      digits: 0,
    },
  },
  pump: {
    rate: {
      code: "MDC_FLOW_FLUID_PUMP",
      unit: "MDC_DIM_MILLI_L_PER_HR",
      usual: [4, 125],
      bounds: [0, 200],
      jitter: 0,
      drift: 0,
      pull: 0.7,
      digits: 1,
    },
    infused: {
      code: "MDC_VOL_FLUID_DELIV",
      unit: "MDC_DIM_MILLI_L",
      usual: [5, 120],
      bounds: [0, 500],
      jitter: 0,
      drift: 0,
      pull: 0,
      digits: 2,
    },
    linePressure: {
      code: "MDC_PRESS_FLUID_LINE",
      unit: "MDC_DIM_MMHG",
      usual: [35, 80],
      bounds: [5, 600],
      jitter: 1.5,
      drift: 8,
      pull: 0.2,
      digits: 0,
      high: { at: 450, text: "line occluded", priority: "high" },
      margin: 100,
    },
  },
} as const satisfies Readonly<Record<DeviceKind, Readonly<Record<string, Quantity>>>>;

/** The rows of one kind, in the order of its messages. */
export function quantitiesOf(kind: DeviceKind): readonly (readonly [string, Quantity])[] {
  return Object.entries(quantities[kind]);
}
