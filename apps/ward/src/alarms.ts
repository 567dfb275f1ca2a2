import { type AlarmLimit, type Priority, type Quantity, quantitiesOf } from "./quantities.ts";
import type { Vitals } from "./vitals.ts";

/** An alarm condition of one quantity. */
export interface Alarm {
  readonly source: string;
  readonly event: "MDC_EVT_LO" | "MDC_EVT_HI";
  readonly text: string;
  readonly priority: Priority;
  readonly unit: string;
  readonly limit: number;
  readonly value: number;
}

export interface AlarmChanges {
  readonly active: readonly Alarm[];
  readonly raised: readonly Alarm[];
  readonly ended: readonly Alarm[];
}

/** Compares what is measured with the limits; an alarm ends only when the value is well inside its limit again. */
export function alarmsAfter(before: readonly Alarm[], { kind, measured }: Vitals): AlarmChanges {
  const active = quantitiesOf(kind).flatMap(([name, quantity]) => {
    const value = measured[name];
    return value === undefined ? [] : alarmsOf(quantity, value, before);
  });
  const raised = active.filter((alarm) => !before.some((other) => isSame(alarm, other)));
  const ended = before
    .filter((alarm) => !active.some((other) => isSame(alarm, other)))
    .map((alarm) => ({ ...alarm, value: lastValue(alarm, kind, measured) }));
  return { active, raised, ended };
}

function alarmsOf(quantity: Quantity, value: number, before: readonly Alarm[]): readonly Alarm[] {
  const { code: source, unit, low, high, margin = 0 } = quantity;
  const alarm = (event: Alarm["event"], { at, text, priority }: AlarmLimit): Alarm[] => {
    const wasActive = before.some((other) => other.source === source && other.event === event);
    const beyond = event === "MDC_EVT_LO" ? at - value : value - at;
    if (beyond <= (wasActive ? -margin : 0)) return [];
    return [{ source, event, text, priority, unit, limit: at, value }];
  };
  return [
    ...(low === undefined ? [] : alarm("MDC_EVT_LO", low)),
    ...(high === undefined ? [] : alarm("MDC_EVT_HI", high)),
  ];
}

function lastValue(alarm: Alarm, kind: Vitals["kind"], measured: Vitals["measured"]): number {
  const row = quantitiesOf(kind).find(([, { code }]) => code === alarm.source);
  return (row && measured[row[0]]) ?? alarm.value;
}

const isSame = (a: Alarm, b: Alarm): boolean => a.source === b.source && a.event === b.event;
