import type { Board } from "./board.ts";
import type { Link, LinkOptions } from "./link.ts";
import { type Origin, parseOrigin, parseReading, type Reading } from "./reading.ts";
import type { Ward } from "./ward-file.ts";

export interface DashboardSurroundings {
  readonly ward: Ward;
  readonly board: Board;
  readonly now: () => number;
  readonly random: () => number;
  readonly openLink: (options: LinkOptions) => Link;
  readonly onAlarm: (origin: Origin, reading: Reading & { readonly stream: "alarm" }) => void;
}

/** Starts the clinical dashboard: a service of its own that reads every telemetry and alarm of the organisation. */
export function startDashboard(surroundings: DashboardSurroundings): Link {
  const { ward, board, now, random } = surroundings;
  const link = surroundings.openLink({
    host: ward.host,
    port: ward.port,
    clientId: `dashboard-${Math.floor(random() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, "0")}`,
    credential: ward.dashboard,
    random,
    onState: (state) => board.linkIs(state, now()),
    onOpen: () => {
      link.subscribe([`${ward.org}/+/+/device/+/telemetry`, `${ward.org}/+/+/device/+/alarm`]);
    },
    onMessage: (topic, payload) => {
      const at = now();
      const origin = parseOrigin(topic, ward.org);
      const reading = parseReading(payload);
      const isAlarm = reading?.stream === "alarm";
      if (!origin || !reading || isAlarm !== (origin.channel === "alarm")) {
        board.unreadable();
        return;
      }
      board.take(origin, reading, payload.byteLength, at);
      if (reading.stream === "alarm") surroundings.onAlarm(origin, reading);
    },
  });
  return link;
}
