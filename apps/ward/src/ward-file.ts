import { readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { printable } from "@wardmq/events";
import type { DeviceKind } from "./load.ts";

/** A private key, its certificate with chain, and the certificates to trust, all PEM. */
export interface Credential {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface WardDevice {
  readonly id: string;
  readonly kind: DeviceKind;
  readonly site: string;
  readonly ward: string;
  readonly credential: Credential;
}

/** A client of an OpenID Provider that acts for itself (client credentials), and the listener its tokens are for. */
export interface Login {
  readonly issuer: string;
  readonly clientId: string;
  readonly secret: string;
  readonly audience: string;
  /** PEM: what the provider's HTTPS is trusted by. */
  readonly issuerCa: string;
  /** Of MQTT over WebSocket with tokens, on the ward's host. */
  readonly port: number;
}

/** The demonstration that `DIR/demo/ward.json` describes. */
export interface Ward {
  readonly host: string;
  readonly port: number;
  readonly org: string;
  readonly devices: readonly WardDevice[];
  readonly dashboard: Credential;
  /** How the dashboard gets tokens; without it, it connects with its certificate. */
  readonly login: Login | undefined;
  /** Lines that tell a person how to connect an own client. */
  readonly connect: readonly string[];
}

/** The file or a credential it names cannot be used; the message says where and why. */
export class WardFileError extends Error {
  override readonly name = "WardFileError";
}

/** Reads `demo/ward.json` of a deployment and every credential it names. */
export function readWard(directory: string): Ward {
  const path = join(directory, "demo", "ward.json");
  const file = asFields(parseJson(readText(path), path), path, "the file");
  const field = (name: string) => ({ value: file[name], where: `${path}: ${name}` });
  const devices = asList(field("devices")).map((value, i) =>
    asDevice(value, `${path}: devices[${i}]`, directory),
  );
  const dashboard = asFields(file["dashboard"], path, "dashboard");
  return {
    host: asMatch(field("host"), /^[A-Za-z0-9.:-]{1,253}$/, "a host name"),
    port: asPort(field("port")),
    org: asLevel(field("org")),
    devices,
    dashboard: readCredential(directory, {
      value: dashboard["credential"],
      where: `${path}: dashboard.credential`,
    }),
    login: asLogin(dashboard["login"], `${path}: dashboard.login`, directory),
    connect: asList(field("connect")).map((value, i) =>
      asMatch(
        { value, where: `${path}: connect[${i}]` },
        /^\P{C}{0,4000}$/u,
        "text without control characters",
      ),
    ),
  };
}

interface Field {
  readonly value: unknown;
  readonly where: string;
}

function asDevice(value: unknown, where: string, directory: string): WardDevice {
  const fields = asFields(value, where, "it");
  const field = (name: string) => ({ value: fields[name], where: `${where}.${name}` });
  const kind = asMatch(field("kind"), /^(monitor|pump|ventilator)$/, "monitor, pump or ventilator");
  return {
    id: asLevel(field("id")),
    kind: kind as DeviceKind,
    site: asLevel(field("site")),
    ward: asLevel(field("ward")),
    credential: readCredential(directory, field("credential")),
  };
}

function asLogin(value: unknown, where: string, directory: string): Login | undefined {
  if (value === undefined) return undefined;
  const fields = asFields(value, where, "it");
  const field = (name: string) => ({ value: fields[name], where: `${where}.${name}` });
  const text = (name: string) => asMatch(field(name), /^[\x21-\x7e]{1,255}$/, "a text");
  return {
    issuer: asMatch(field("issuer"), /^https:\/\/[\x21-\x7e]{1,255}$/, "an https URL"),
    clientId: text("clientId"),
    secret: text("secret"),
    audience: text("audience"),
    issuerCa: readText(join(directory, text("issuerCa"))),
    port: asPort(field("port")),
  };
}

function readCredential(directory: string, field: Field): Credential {
  const path = asMatch(field, /^[\x20-\x7e]{1,1000}$/, "a folder");
  const folder = resolve(directory, path);
  if (relative(directory, folder).startsWith(".."))
    throw wrong(field, "a folder inside the deployment");
  const read = (name: string) => readText(join(folder, name));
  return { key: read("key.pem"), cert: read("cert.pem"), ca: read("ca.pem") };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new WardFileError(
      `cannot read ${printable(path)}: ${code}; make the demo again with wardmq up`,
    );
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new WardFileError(`${printable(path)} is not JSON; make the demo again with wardmq up`);
  }
}

const wrong = ({ where }: { where: string }, expected: string): WardFileError =>
  new WardFileError(`${printable(where)} must be ${expected}`);

function asFields(value: unknown, path: string, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw wrong({ where: `${path}: ${what}` }, "an object");
}

function asList(field: Field): readonly unknown[] {
  if (Array.isArray(field.value)) return field.value;
  throw wrong(field, "a list");
}

function asMatch(field: Field, pattern: RegExp, expected: string): string {
  if (typeof field.value === "string" && pattern.test(field.value)) return field.value;
  throw wrong(field, expected);
}

const asLevel = (field: Field): string =>
  asMatch(field, /^[A-Za-z0-9_-]{1,64}$/, "1 to 64 letters, digits, - or _");

function asPort(field: Field): number {
  const { value } = field;
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value < 65_536)
    return value;
  throw wrong(field, "a port from 1 to 65535");
}
