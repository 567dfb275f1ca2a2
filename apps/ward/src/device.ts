import { type Alarm, alarmsAfter } from "./alarms.ts";
import type { Opening } from "./episodes.ts";
import type { Link, LinkOptions, LinkState } from "./link.ts";
import { load, type Stream } from "./load.ts";
import { alarmMessage, numericMessage, waveMessage } from "./messages.ts";
import { seedOf } from "./noise.ts";
import { firstVitals, nextVitals } from "./vitals.ts";
import type { Ward, WardDevice } from "./ward-file.ts";

export interface DeviceSurroundings {
  readonly ward: Ward;
  readonly opening: Opening | undefined;
  readonly now: () => number;
  readonly random: () => number;
  /** Calls back once a second until what it returns is called. */
  readonly everySecond: (tick: () => void) => () => void;
  readonly openLink: (options: LinkOptions) => Link;
  readonly onState: (state: LinkState) => void;
}

const telemetryQos = 0; // the next second replaces it
const alarmQos = 1;

/** Switches one simulated device on; what it returns switches it off. */
export function startDevice(
  device: WardDevice,
  surroundings: DeviceSurroundings,
): () => Promise<void> {
  const { ward, now } = surroundings;
  const prefix = `${ward.org}/${device.site}/${device.ward}/device/${device.id}`;
  let vitals = firstVitals(device.kind, seedOf(device.id), surroundings.opening);
  let active: readonly Alarm[] = [];
  let sequence = 0;
  const heading = () => ({ sequence: ++sequence, at: now() });

  const sendAlarms = (alarms: readonly Alarm[], phase: "raised" | "ended") => {
    for (const alarm of alarms) {
      link.publish(`${prefix}/alarm`, alarmMessage(vitals, alarm, phase, heading()), alarmQos);
    }
  };
  const sendStream = (stream: Stream) => {
    const make = {
      numeric: () => numericMessage(vitals, active, heading()),
      wave: () => waveMessage(vitals, heading()),
    };
    link.publish(`${prefix}/telemetry`, make[stream](), telemetryQos);
  };
  const link = surroundings.openLink({
    host: ward.host,
    port: ward.port,
    clientId: device.id,
    credential: device.credential,
    random: surroundings.random,
    onState: surroundings.onState,
    onOpen: () => {
      sendAlarms(active, "raised"); // what was raised while nobody could be told
      sendStream("numeric");
    },
  });
  const stopTicking = surroundings.everySecond(() => {
    vitals = nextVitals(vitals);
    const changes = alarmsAfter(active, vitals);
    active = changes.active;
    sendAlarms(changes.raised, "raised");
    sendAlarms(changes.ended, "ended");
    for (const { stream, everyMs } of load[device.kind]) {
      if ((vitals.tick * 1_000) % everyMs === 0) sendStream(stream);
    }
  });
  return async () => {
    stopTicking();
    await link.close();
  };
}
