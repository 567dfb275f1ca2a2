import { Board } from "./board.ts";
import { preciseClock } from "./clock.ts";
import { startDashboard } from "./dashboard.ts";
import { startDevice } from "./device.ts";
import { openingOf } from "./episodes.ts";
import { type LinkState, openLink } from "./link.ts";
import type { Origin, Reading } from "./reading.ts";
import { openTokenLink } from "./token-link.ts";
import type { Ward } from "./ward-file.ts";

export interface RunningWard {
  readonly board: Board;
  readonly now: () => number;
  /** Whether any client of the ward has a connection. */
  isReached(): boolean;
  close(): Promise<void>;
}

const staggerMs = 2_000;

function everySecond(tick: () => void): () => void {
  const timer = setInterval(tick, 1_000);
  return () => clearInterval(timer);
}

/** Starts the dashboard and, spread over two seconds, every device; each is a client of its own. */
export function startWard(
  ward: Ward,
  onAlarm: (origin: Origin, reading: Reading & { readonly stream: "alarm" }) => void,
): RunningWard {
  const now = preciseClock();
  const board = new Board(`${ward.host}:${ward.port}`, ward.devices, now());
  const open = new Set<string>();
  const stops: (() => Promise<void>)[] = [];
  const random = Math.random; // spreads reconnects and names a client; the simulation has its own seeds
  const seen = (id: string, { is }: LinkState) =>
    void (is === "open" ? open.add(id) : open.delete(id));

  const dashboard = startDashboard({
    ward,
    board,
    now,
    random,
    onAlarm,
    openLink: ({ onState, ...rest }) => {
      const options = {
        ...rest,
        onState: (state: LinkState) => {
          seen("dashboard", state);
          onState(state);
        },
      };
      return ward.login === undefined ? openLink(options) : openTokenLink(options, ward.login);
    },
  });
  const timers = ward.devices.map((device, i) => {
    const sameKind = ward.devices.filter(({ kind }) => kind === device.kind);
    const opening = openingOf(device.kind, sameKind.indexOf(device));
    const onState = (state: LinkState) => {
      seen(device.id, state);
      board.deviceLinkIs(device.id, state);
    };
    return setTimeout(
      () =>
        stops.push(
          startDevice(device, { ward, opening, now, random, everySecond, openLink, onState }),
        ),
      (staggerMs * i) / ward.devices.length,
    );
  });
  return {
    board,
    now,
    isReached: () => open.size > 0,
    close: async () => {
      for (const timer of timers) clearTimeout(timer);
      await Promise.all([dashboard.close(), ...stops.map((stop) => stop())]);
    },
  };
}
