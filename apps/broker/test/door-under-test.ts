import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import type { ListenerName, SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, Limits, SubjectRecord } from "@wardmq/feed";
import type { Credentials } from "@wardmq/tls";
import { type Authority, type Issued, issue } from "../../../test/support/certificates.ts";
import type { Peer } from "../src/connection/context.ts";
import { Door } from "../src/door/door.ts";
import { ForeignCas } from "../src/door/foreign-cas.ts";
import type { Transport } from "../src/door/transport.ts";
import { Subjects } from "../src/enforcement/subjects.ts";

export const trustDomain = "test.hospital";
export const host = "broker.test";
export const uuid = (digit: number) =>
  `${digit}1111111-1111-4111-8111-111111111111`.replaceAll("1", String(digit));
export const spiffe = (digit: number) => `spiffe://${trustDomain}/device/${uuid(digit)}`;

/** The certification authorities and the server of one deployment, and one of somebody else. */
export interface Pki {
  readonly root: Authority;
  readonly issuing: Authority;
  readonly server: Issued;
  readonly foreignRoot: Authority;
  /** A device's certificate as control would issue it. */
  readonly device: (digit: number) => Promise<Issued>;
}

export async function makePki(): Promise<Pki> {
  const root = await issue(undefined, { commonName: "Root", isAuthority: true });
  const usages = ["serverAuth", "clientAuth"] as const;
  const issuing = await issue(root, { commonName: "Issuing", isAuthority: true, usages });
  return {
    root,
    issuing,
    server: await issueServer(issuing),
    foreignRoot: await issue(undefined, { commonName: "Root", isAuthority: true }),
    device: (digit) =>
      issue(issuing, {
        commonName: uuid(digit),
        names: [{ uri: spiffe(digit) }],
        usages: ["clientAuth"],
      }),
  };
}

export function issueServer(issuer: Authority, keyType: "P-256" | "RSA" = "P-256") {
  return issue(issuer, {
    commonName: host,
    names: [{ dns: host }],
    usages: ["serverAuth"],
    keyType,
  });
}

/** The record of the device with that digit, with these certificates bound to it. */
export function record(digit: number, ...bound: readonly Issued[]): SubjectRecord {
  return {
    id: `device:${uuid(digit)}`,
    kind: "device",
    state: "active",
    attributes: { org: "hospital", site: "north", ward: "icu", id: uuid(digit) },
    spiffeId: spiffe(digit),
    certificates: bound.map(({ fingerprint, x509 }) => ({
      fingerprint,
      notAfter: Date.parse(x509.validTo),
      state: "active",
    })),
  };
}

const limits: Limits = {
  connections: 2_000,
  connectionsPerAddress: 2_000,
  connectionsPerSubject: { device: 1, service: 100, person: 10 },
  sessionsPerSubject: { device: 1, service: 1_000, person: 20 },
  acceptsPerSecond: 100_000,
  handshakes: 500,
  connectTimeoutMs: 10_000,
  preAuthBytes: 16_384,
  preAuthBytesTotal: 1 << 24,
  packetBytes: 1 << 20,
  topicBytes: 1_024,
  clientIdBytes: 256,
  topicLevels: 16,
  subscriptions: 100,
  inflight: 256,
  queuedMessages: 10_000,
  queuedBytes: 1 << 23,
  queuedBytesTotal: 1 << 28,
  messagesPerSecond: { device: 500, service: 50_000, person: 50 },
  bytesPerSecond: { device: 1 << 21, service: 1 << 27, person: 1 << 18 },
  userProperties: 32,
  keepAliveSeconds: { min: 5, max: 600 },
  sessionExpirySeconds: 604_800,
  topicAliases: 16,
  openCommands: 10_000,
  openCommandsPerRequester: 1_000,
  openCommandsPerDevice: 16,
  retainedSeconds: 2_592_000,
  retainedMessages: 100_000,
  retainedBytes: 1 << 26,
  storedBytes: 1_073_741_824,
  memoryBytes: 1 << 30,
};

const anyPort = { address: "127.0.0.1", port: 0 };

export interface DoorOptions {
  readonly tls?: BrokerSettings["tls"];
  readonly limits?: Partial<Limits>;
  readonly server?: Issued;
  readonly monotonic?: () => number;
}

export interface Opened {
  readonly transport: Transport;
  readonly peer: Peer;
  isClosed: boolean;
}

/** A door on the loopback; whoever gets through it hears his own bytes. */
export interface TestDoor {
  readonly door: Door;
  readonly subjects: Subjects;
  readonly foreign: ForeignCas;
  /** Certificates of foreign CAs, in hex, that no record knew. */
  readonly used: string[];
  readonly mqtts: number;
  readonly tokenMqtts: number;
  readonly wss: number;
  readonly events: Omit<SecurityEvent, "at">[];
  readonly opened: Opened[];
  readonly state: { isStale: boolean; banned: string | undefined };
  readonly credentials: (changes?: Partial<Credentials>) => Credentials;
}

const cleanups: (() => void)[] = [];

/** Ends everything that was started here. */
export function endAll(): void {
  for (const cleanup of cleanups.splice(0)) cleanup();
}

export async function startDoor(pki: Pki, options: DoorOptions = {}): Promise<TestDoor> {
  const server = options.server ?? pki.server;
  const credentials = (changes: Partial<Credentials> = {}): Credentials => ({
    key: server.key,
    certificate: server.chain,
    trustAnchors: [pki.root.pem, pki.issuing.pem],
    ...changes,
  });
  const settings: BrokerSettings = {
    org: "hospital",
    environment: "test",
    trustDomain,
    hosts: [host, "other.test"],
    listeners: {
      mqtts: { ...anyPort, accept: "certificate" },
      wss: { ...anyPort, accept: "certificate" },
      tokenMqtts: { ...anyPort, accept: "token" },
      tokenWss: { ...anyPort, accept: "token" },
    },
    tls: options.tls ?? { profile: "nist", minVersion: "TLSv1.3" },
    webSocketOrigins: [],
    lostSubscription: "disconnect",
    feed: { maximumAgeSeconds: 86_400 },
    limits: { ...limits, ...options.limits },
  };
  const events: TestDoor["events"] = [];
  const opened: Opened[] = [];
  const subjects = new Subjects();
  const state: TestDoor["state"] = { isStale: false, banned: undefined };
  const used: string[] = [];
  const foreign = new ForeignCas({ subjects, own: () => settings, now: () => Date.now() });
  const door = new Door(
    {
      settings: () => settings,
      subjects,
      foreign,
      onForeign: (certificate) => used.push(Buffer.from(certificate).toString("hex")),
      now: () => Date.now(),
      monotonic: options.monotonic ?? (() => performance.now()),
      isStale: () => state.isStale,
      banOf: (address) =>
        state.banned === address
          ? { key: `address ${address}`, failures: 50, until: 1_700_000_000_000 }
          : undefined,
      record: (event) => events.push(event),
      onConnection: (transport, peer) => {
        const one: Opened = { transport, peer, isClosed: false };
        opened.push(one);
        return {
          receive: (bytes) => transport.write(Buffer.from(bytes)),
          drained: () => {},
          closed: () => {
            one.isClosed = true;
          },
        };
      },
    },
    credentials(),
  );
  cleanups.push(() => {
    door.close();
    for (const { transport } of opened) transport.destroy();
  });
  const port = async (name: ListenerName) =>
    Number((await door.listen(name, settings.listeners[name])).split(":").at(-1));
  return {
    door,
    subjects,
    foreign,
    used,
    mqtts: await port("mqtts"),
    tokenMqtts: await port("tokenMqtts"),
    wss: await port("wss"),
    events,
    opened,
    state,
    credentials,
  };
}

/** Polls until `holds`, at most ten seconds. */
export async function until(holds: () => boolean, what: () => string): Promise<void> {
  for (let i = 0; i < 1000 && !holds(); i += 1) await new Promise((wake) => setTimeout(wake, 10));
  if (!holds()) throw new Error(`did not happen: ${what()}`);
}

export function dialTcp(port: number, localAddress = "127.0.0.1"): Socket {
  const socket = connectTcp({ port, host: "127.0.0.1", localAddress });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

/** Resolves when the socket is gone, however it went. */
export function goneOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.resume().on("close", () => resolve()));
}

/** Dials as a device would, and does not wait. */
export function dialRaw(
  port: number,
  pki: Pki,
  client: Issued | undefined,
  options: ConnectionOptions = {},
): TLSSocket {
  const socket = connectTls({
    port,
    host: "127.0.0.1",
    servername: host,
    ca: pki.root.pem,
    ...(client === undefined ? {} : { key: client.key, cert: client.chain }),
    ...options,
  });
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  return socket;
}

/** Dials as a device would; resolves when the TLS layer of the client is content, which says nothing of the server's. */
export async function dialTls(
  port: number,
  pki: Pki,
  client: Issued | undefined,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = dialRaw(port, pki, client, options);
  await once(socket, "secureConnect");
  return socket;
}

/** Sends bytes and waits until they come back. */
export async function echoes(socket: TLSSocket, text: string): Promise<boolean> {
  let got = "";
  const take = (bytes: Buffer) => {
    got += bytes;
  };
  socket.on("data", take);
  socket.write(text);
  await until(
    () => got.length >= text.length || socket.destroyed,
    () => `an echo of ${text}`,
  );
  socket.off("data", take);
  return got === text;
}

/** Why the tests that need another TLS implementation are skipped; nothing when it is there. */
export const opensslIsMissing: string | false =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";

/** What became of one `openssl s_client`: the door let it in, or said why not. */
export interface Attempt {
  readonly opened: Opened | undefined;
  readonly refused: Omit<SecurityEvent, "at"> | undefined;
  readonly output: string;
  /** It would not end, though its input had. */
  readonly wasKilled: boolean;
}

/** Runs `openssl s_client` against the door until the door has opened or refused; `lines` go to its input then. */
export async function attempt(
  under: TestDoor,
  args: readonly string[],
  client?: Issued,
  lines: readonly string[] = ["Q"],
): Promise<Attempt> {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-door-"));
  const credential = client === undefined ? [] : writeCredential(folder, client);
  const name = args.includes("-noservername") || args.includes("-servername");
  const events = under.events.length;
  const opened = under.opened.length;
  const child = spawn(
    "openssl",
    [
      "s_client",
      ...["-connect", `127.0.0.1:${under.mqtts}`],
      ...(name ? [] : ["-servername", host]),
      ...credential,
      ...args,
    ],
    { stdio: ["pipe", "pipe", "pipe"] },
  );
  cleanups.push(() => child.kill("SIGKILL"));
  const output = collect(child);
  const closed = once(child, "close");
  child.stdin.on("error", () => {});
  await until(
    () => under.events.length > events || under.opened.length > opened,
    () => `the door decides about ${args.join(" ")}: ${output()}`,
  );
  // Its session and its handshake are printed after the first bytes of the server.
  if (under.opened.length > opened) {
    under.opened[opened]?.transport.write(Buffer.from("welcome\n"));
    await until(
      () => output().includes("welcome"),
      () => `s_client hears the door: ${output()}`,
    );
  }
  for (const line of lines) child.stdin.write(`${line}\n`);
  const deadline = setTimeout(() => child.kill("SIGKILL"), 4_000);
  await closed;
  clearTimeout(deadline);
  rmSync(folder, { recursive: true });
  return {
    opened: under.opened[opened],
    refused: under.events[events],
    output: output(),
    wasKilled: child.signalCode !== null,
  };
}

function writeCredential(folder: string, client: Issued): string[] {
  writeFileSync(join(folder, "key.pem"), client.key);
  writeFileSync(join(folder, "cert.pem"), client.chain);
  const files = ["-key", join(folder, "key.pem"), "-cert", join(folder, "cert.pem")];
  return [...files, "-cert_chain", join(folder, "cert.pem")];
}

function collect(child: ChildProcess): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (bytes: Buffer) => {
      text += bytes;
    });
  }
  return () => text;
}
