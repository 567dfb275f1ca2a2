import type { DeviceKind } from "./load.ts";
import type { Priority } from "./quantities.ts";

/** Which device a message is from, by its Topic Name. */
export interface Origin {
  readonly site: string;
  readonly ward: string;
  readonly deviceId: string;
  readonly channel: "telemetry" | "alarm";
}

export interface ShownAlarm {
  readonly text: string;
  readonly priority: Priority;
}

/** What the dashboard takes from a message; everything in it is of the type it says, and nothing else is kept. */
export type Reading = { readonly kind: DeviceKind; readonly deviceTime: number } & (
  | {
      readonly stream: "numeric";
      readonly values: ReadonlyMap<string, number>;
      readonly alarms: readonly ShownAlarm[];
    }
  | { readonly stream: "wave" }
  | ({
      readonly stream: "alarm";
      readonly phase: "raised" | "ended";
      readonly value: number;
      readonly limit: number;
    } & ShownAlarm)
);

const level = /^[A-Za-z0-9_-]{1,64}$/;

/** The origin that a Topic Name of this organisation names, or nothing. */
export function parseOrigin(topic: string, org: string): Origin | undefined {
  const [first, site, ward, device, deviceId, channel, ...more] = topic.split("/");
  if (first !== org || device !== "device" || more.length > 0) return undefined;
  if (channel !== "telemetry" && channel !== "alarm") return undefined;
  if (!isLevel(site) || !isLevel(ward) || !isLevel(deviceId)) return undefined;
  return { site, ward, deviceId, channel };
}

const isLevel = (text: string | undefined): text is string =>
  text !== undefined && level.test(text);

const maximumBytes = 65_536;
const maximumItems = 32;

/** A message from outside as a reading, or nothing: whatever is not exactly as expected is not shown. */
export function parseReading(payload: Uint8Array): Reading | undefined {
  if (payload.byteLength > maximumBytes) return undefined;
  const message = parseObject(payload);
  if (message === undefined || message["schema"] !== "ward/1") return undefined;
  const kind = parseKind(message["kind"]);
  const deviceTime = parseDeviceTime(message["deviceTime"]);
  if (kind === undefined || deviceTime === undefined) return undefined;
  switch (message["stream"]) {
    case "numeric":
      return parseNumeric(message, kind, deviceTime);
    case "wave":
      return { stream: "wave", kind, deviceTime };
    case "alarm":
      return parseAlarm(message, kind, deviceTime);
    default:
      return undefined;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(payload: Uint8Array): Fields | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isNumber = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && Math.abs(value) < 1e9;

const isShortText = (value: unknown): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= 64;

const parseKind = (value: unknown): DeviceKind | undefined =>
  value === "monitor" || value === "pump" || value === "ventilator" ? value : undefined;

const parsePriority = (value: unknown): Priority | undefined =>
  value === "low" || value === "medium" || value === "high" ? value : undefined;

const isoTime = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})(\d{3})?Z$/;

/** Milliseconds since 1970, with a fraction where the text has microseconds. */
export function parseDeviceTime(value: unknown): number | undefined {
  const [, milliseconds, micros = "0"] =
    typeof value === "string" ? (isoTime.exec(value) ?? []) : [];
  const at = milliseconds === undefined ? Number.NaN : Date.parse(`${milliseconds}Z`);
  return Number.isNaN(at) ? undefined : at + Number(micros) / 1_000;
}

function parseNumeric(message: Fields, kind: DeviceKind, deviceTime: number): Reading | undefined {
  const metrics = parseList(message["metrics"], parseMetric);
  const alarms = parseList(message["alarms"], parseShownAlarm);
  if (metrics === undefined || alarms === undefined) return undefined;
  return { stream: "numeric", kind, deviceTime, values: new Map(metrics), alarms };
}

function parseList<T>(value: unknown, parse: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(value) || value.length > maximumItems) return undefined;
  const items = value.map(parse);
  return items.includes(undefined) ? undefined : (items as T[]);
}

function parseMetric(value: unknown): readonly [string, number] | undefined {
  if (!isFields(value)) return undefined;
  const { code, value: number } = value;
  return isShortText(code) && isNumber(number) ? [code, number] : undefined;
}

function parseShownAlarm(value: unknown): ShownAlarm | undefined {
  if (!isFields(value)) return undefined;
  const text = value["text"];
  const priority = parsePriority(value["priority"]);
  return isShortText(text) && priority !== undefined ? { text, priority } : undefined;
}

function parseAlarm(message: Fields, kind: DeviceKind, deviceTime: number): Reading | undefined {
  const shown = parseShownAlarm(message);
  const { phase, value, limit } = message;
  if (shown === undefined || !isNumber(value) || !isNumber(limit)) return undefined;
  if (phase !== "raised" && phase !== "ended") return undefined;
  return { stream: "alarm", kind, deviceTime, phase, value, limit, ...shown };
}
