import type { Alarm } from "./alarms.ts";
import { type Quantity, quantitiesOf } from "./quantities.ts";
import type { Vitals } from "./vitals.ts";
import { waves } from "./waves.ts";

/** What stands at the head of every message. Nothing in it, or after it, says who the patient is. */
export interface Heading {
  readonly sequence: number;
  /** Milliseconds since 1970 by the device's clock, with a fraction. */
  readonly at: number;
}

/** The numbers a device measures, with their alarm limits, its technical state and its active alarms. */
export function numericMessage(vitals: Vitals, alarms: readonly Alarm[], heading: Heading): string {
  return JSON.stringify({
    ...head(vitals, "numeric", heading),
    state: technicalState(vitals),
    alarms: alarms.map(({ text, priority }) => ({ text, priority })),
    metrics: quantitiesOf(vitals.kind).map(([name, quantity]) => ({
      code: quantity.code,
      unit: quantity.unit,
      value: vitals.measured[name],
      ...limitsOf(quantity),
    })),
  });
}

/** One second of the device's waves, all in one message. */
export function waveMessage(vitals: Vitals, heading: Heading): string {
  return JSON.stringify({ ...head(vitals, "wave", heading), waves: waves(vitals) });
}

/** An alarm that was raised or has ended. */
export function alarmMessage(
  vitals: Vitals,
  alarm: Alarm,
  phase: "raised" | "ended",
  heading: Heading,
): string {
  return JSON.stringify({ ...head(vitals, "alarm", heading), phase, ...alarm });
}

function head(vitals: Vitals, stream: string, { sequence, at }: Heading) {
  const deviceTime = deviceTimeText(at);
  return { schema: "ward/1", kind: vitals.kind, stream, sequence, deviceTime };
}

/** UTC with microseconds, as in `2026-11-23T15:03:01.123456Z`. */
function deviceTimeText(at: number): string {
  const milliseconds = Math.floor(at);
  const micros = Math.floor((at - milliseconds) * 1_000);
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${String(micros).padStart(3, "0")}Z`;
}

function technicalState({ kind, tick, episode }: Vitals) {
  const power = { mode: "operating", mains: true, batteryPercent: 100, uptimeSeconds: tick };
  if (kind === "monitor") return { ...power, ecgLeads: "ok", pulseOximeter: "ok" };
  if (kind === "ventilator") {
    return { ...power, ventilationMode: "pressure-control", circuit: "ok", oxygenSupply: "ok" };
  }
  return {
    ...power,
    infusion: episode === "occlusion" ? "stopped" : "running",
    channel: "A",
    door: "closed",
    airInLine: false,
  };
}

const limitsOf = ({ low, high }: Quantity) => ({
  ...(low === undefined ? {} : { low: low.at }),
  ...(high === undefined ? {} : { high: high.at }),
});
