export type DeviceKind = "monitor" | "pump" | "ventilator";

export type Stream = "numeric" | "wave";

export interface StreamLoad {
  readonly stream: Stream;
  readonly everyMs: number;
  /** The size of one message that the real device is assumed to send; ours stay within 15 % of it. */
  readonly bytes: number;
}

/** What each kind of device sends: the assumptions about a real ward, all in this one place. */
export const load: Readonly<Record<DeviceKind, readonly StreamLoad[]>> = {
  monitor: [
    { stream: "numeric", everyMs: 1_000, bytes: 900 },
    { stream: "wave", everyMs: 1_000, bytes: 3_300 },
  ],
  ventilator: [
    { stream: "numeric", everyMs: 1_000, bytes: 700 },
    { stream: "wave", everyMs: 1_000, bytes: 800 },
  ],
  pump: [{ stream: "numeric", everyMs: 10_000, bytes: 500 }],
};

/** Messages per second that one device of this kind sends, alarms aside. */
export function messagesPerSecond(kind: DeviceKind): number {
  return load[kind].reduce((sum, { everyMs }) => sum + 1_000 / everyMs, 0);
}
