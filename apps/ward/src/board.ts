import type { LinkState } from "./link.ts";
import { type DeviceKind, load } from "./load.ts";
import type { Origin, Reading, ShownAlarm } from "./reading.ts";

/** One device as the dashboard shows it. */
export interface Row {
  readonly site: string;
  readonly ward: string;
  readonly deviceId: string;
  readonly kind: DeviceKind | undefined;
  readonly values: ReadonlyMap<string, number>;
  readonly alarms: readonly ShownAlarm[];
  readonly messagesPerSecond: number;
  /** Seconds since the last values where they are too old to be shown as the patient's. */
  readonly staleSeconds: number | undefined;
  /** What is wrong with the device's own connection, where the ward knows it. */
  readonly trouble: string | undefined;
}

/** Everything the dashboard shows at one moment. */
export interface View {
  readonly address: string;
  readonly link: LinkState;
  /** Seconds the link is in its state. */
  readonly linkSeconds: number;
  readonly rows: readonly Row[];
  readonly devicesConnected: number;
  readonly devices: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Milliseconds from a device's clock to the arrival here, over the last ten seconds. */
  readonly latency: { readonly p50: number; readonly p99: number } | undefined;
  /** Messages that could not be read; they are not shown. */
  readonly unreadable: number;
  readonly upSeconds: number;
}

export interface KnownDevice {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly site: string;
  readonly ward: string;
}

interface Entry {
  readonly site: string;
  readonly ward: string;
  readonly deviceId: string;
  kind: DeviceKind | undefined;
  values: ReadonlyMap<string, number>;
  valuesAt: number | undefined;
  readonly alarms: Map<string, ShownAlarm>;
  readonly rate: Rate;
  link: LinkState | undefined;
}

const windowSeconds = 10;
const maximumRows = 200; // whoever may publish could otherwise fill the memory with invented ids
const maximumLatencies = 20_000;
const maximumAlarms = 16;

/** What the dashboard has seen. Every method is told the time; nothing here has a clock. */
export class Board {
  readonly #address: string;
  readonly #startedAt: number;
  readonly #entries = new Map<string, Entry>();
  readonly #total = new Rate();
  readonly #bytes = new Rate();
  #latencies: { readonly at: number; readonly ms: number }[] = [];
  #link: LinkState = { is: "connecting" };
  #linkSince: number;
  #unreadable = 0;

  constructor(address: string, devices: readonly KnownDevice[], now: number) {
    this.#address = address;
    this.#startedAt = now;
    this.#linkSince = now;
    for (const { id, kind, site, ward } of devices) {
      const entry = this.#entry({ deviceId: id, site, ward });
      if (entry !== undefined) {
        entry.kind = kind;
        entry.link = { is: "connecting" };
      }
    }
  }

  /** The dashboard's own connection. */
  linkIs(state: LinkState, now: number): void {
    if (state.is !== this.#link.is && !(state.is === "connecting" && this.#link.is === "waiting")) {
      this.#linkSince = now;
    }
    // While it tries again the reason why it has to stays on the screen.
    if (state.is === "connecting" && this.#link.is === "waiting") return;
    this.#link = state;
  }

  /** The connection of one of the ward's own devices. */
  deviceLinkIs(deviceId: string, state: LinkState): void {
    const entry = this.#entries.get(deviceId);
    if (entry === undefined || (state.is === "connecting" && entry.link?.is === "waiting")) return;
    entry.link = state;
  }

  unreadable(): void {
    this.#unreadable += 1;
  }

  take(origin: Origin, reading: Reading, bytes: number, now: number): void {
    const entry = this.#entry(origin);
    if (entry === undefined) return;
    this.#total.add(now, 1);
    this.#bytes.add(now, bytes);
    entry.rate.add(now, 1);
    entry.kind = reading.kind;
    const ms = now - reading.deviceTime;
    // A device with another clock says nothing about the broker.
    if (ms >= 0 && ms < 60_000 && this.#latencies.length < maximumLatencies) {
      this.#latencies.push({ at: now, ms });
    }
    if (reading.stream === "numeric") {
      entry.values = reading.values;
      entry.valuesAt = now;
      entry.alarms.clear();
      for (const alarm of reading.alarms.slice(0, maximumAlarms))
        entry.alarms.set(alarm.text, alarm);
    }
    if (reading.stream === "alarm") {
      const { text, priority } = reading;
      if (reading.phase === "ended") entry.alarms.delete(text);
      else if (entry.alarms.size < maximumAlarms) entry.alarms.set(text, { text, priority });
    }
  }

  view(now: number): View {
    this.#latencies = this.#latencies.filter(({ at }) => at > now - windowSeconds * 1_000);
    const known = [...this.#entries.values()].filter(({ link }) => link !== undefined);
    return {
      address: this.#address,
      link: this.#link,
      linkSeconds: Math.max(0, Math.floor((now - this.#linkSince) / 1_000)),
      rows: [...this.#entries.values()].map((entry) => rowOf(entry, now)),
      devicesConnected: known.filter(({ link }) => link?.is === "open").length,
      devices: known.length,
      messagesPerSecond: this.#total.perSecond(now),
      bytesPerSecond: this.#bytes.perSecond(now),
      latency: percentiles(this.#latencies.map(({ ms }) => ms)),
      unreadable: this.#unreadable,
      upSeconds: Math.max(0, Math.floor((now - this.#startedAt) / 1_000)),
    };
  }

  #entry(origin: { deviceId: string; site: string; ward: string }): Entry | undefined {
    const { deviceId, site, ward } = origin;
    const known = this.#entries.get(deviceId);
    if (known !== undefined || this.#entries.size >= maximumRows) return known;
    const entry: Entry = {
      site,
      ward,
      deviceId,
      kind: undefined,
      values: new Map(),
      valuesAt: undefined,
      alarms: new Map(),
      rate: new Rate(),
      link: undefined,
    };
    this.#entries.set(deviceId, entry);
    return entry;
  }
}

function rowOf(entry: Entry, now: number): Row {
  const { site, ward, deviceId, kind, values, valuesAt, alarms, rate, link } = entry;
  return {
    site,
    ward,
    deviceId,
    kind,
    values,
    alarms: [...alarms.values()],
    messagesPerSecond: rate.perSecond(now),
    staleSeconds: staleSeconds(kind, valuesAt, now),
    trouble: link?.is === "waiting" ? link.why : undefined,
  };
}

/** A value is the patient's for two and a half times the period in which the next is due. */
function staleSeconds(kind: DeviceKind | undefined, valuesAt: number | undefined, now: number) {
  if (valuesAt === undefined) return undefined;
  const everyMs =
    load[kind ?? "monitor"].find(({ stream }) => stream === "numeric")?.everyMs ?? 1_000;
  const age = now - valuesAt;
  return age > 2.5 * everyMs + 500 ? Math.floor(age / 1_000) : undefined;
}

function percentiles(values: readonly number[]): View["latency"] {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}

/** How much there was per second, over the last ten whole seconds or as many as there are. */
class Rate {
  readonly #buckets = new Map<number, number>();
  #first: number | undefined;

  add(now: number, amount: number): void {
    const second = Math.floor(now / 1_000);
    this.#first ??= second;
    this.#buckets.set(second, (this.#buckets.get(second) ?? 0) + amount);
    this.#forget(second);
  }

  perSecond(now: number): number {
    const second = Math.floor(now / 1_000);
    this.#forget(second);
    if (this.#first === undefined) return 0;
    let sum = 0;
    for (const [at, amount] of this.#buckets) if (at !== second) sum += amount;
    return sum / Math.min(windowSeconds, Math.max(1, second - this.#first));
  }

  #forget(second: number): void {
    for (const at of this.#buckets.keys())
      if (at < second - windowSeconds) this.#buckets.delete(at);
  }
}
