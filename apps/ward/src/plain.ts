import { printable } from "@wardmq/events";
import type { Row, View } from "./board.ts";
import { quantities } from "./quantities.ts";
import type { Origin, Reading } from "./reading.ts";
import { alarmText, bloodPressure, latencyText } from "./table.ts";

/** The state of the ward in one line, with the values of one device: the n-th line shows the n-th device. */
export function summaryLine(view: View, n: number): string {
  const { link } = view;
  const alarming = view.rows.filter(({ alarms }) => alarms.length > 0).length;
  const state =
    link.is === "waiting"
      ? `no connection for ${view.linkSeconds} s, trying again: ${link.why}`
      : link.is === "open"
        ? `connected ${link.how}`
        : "connecting";
  const row = view.rows[n % Math.max(1, view.rows.length)];
  return [
    `ward: ${state}`,
    `${view.devicesConnected} of ${view.devices} devices`,
    `${view.messagesPerSecond.toFixed(1)} msg/s`,
    latencyText(view),
    alarming === 0 ? "no alarm" : `${alarming} in alarm`,
    ...(row === undefined ? [] : [rowText(row)]),
  ].join(", ");
}

/** An alarm message in one line. */
export function alarmLine(
  { site, ward, deviceId }: Origin,
  reading: Reading & { readonly stream: "alarm" },
): string {
  const what = alarmText(reading.text, reading.priority);
  const how = reading.phase === "raised" ? `limit ${reading.limit}` : "ended";
  return printable(
    `alarm: ${site}/${ward} ${reading.kind} ${deviceId.slice(0, 8)} ${what} ${reading.value} (${how})`,
  );
}

function rowText(row: Row): string {
  const { monitor, ventilator, pump } = quantities;
  const number = (code: string, name: string, unit: string) => {
    const value = row.values.get(code);
    return value === undefined ? "" : `${name} ${value}${unit}`;
  };
  const pressure = bloodPressure(row);
  const values =
    row.trouble !== undefined || row.staleSeconds !== undefined
      ? ["no current values"]
      : [
          number(monitor.heartRate.code, "HR", ""),
          number(monitor.spo2.code, "SpO2", "%"),
          pressure && `BP ${pressure}`,
          number(monitor.respirationRate.code, "RR", ""),
          number(ventilator.peakPressure.code, "peak", " cmH2O"),
          number(ventilator.tidalVolume.code, "volume", " mL"),
          number(pump.rate.code, "rate", " mL/h"),
        ];
  return printable(
    [row.ward, row.kind ?? "?", row.deviceId.slice(0, 8), ...values].filter(Boolean).join(" "),
  );
}
