import type { ProtocolVersion } from "@wardmq/mqtt";
import { encodePacket } from "@wardmq/mqtt";
import { splitPackets } from "../../../test/support/bytes.ts";
import { attacks, encoded, Generator } from "./generate.ts";
import { Model, ModelConnection, type ModelSession, Violation } from "./model.ts";
import { Random } from "./random.ts";
import type { Listener, Stage, Wire } from "./stage.ts";

const mostClients = 6;
const actionsPerRun = 120;

/** What one run has done, so that a counterexample can be read. */
export interface Report {
  readonly actions: readonly string[];
  /** What the broker did wrong; undefined when nothing. */
  readonly violation: string | undefined;
}

/** Random actions of several clients against a broker, the same for the same seed, checked against the model. */
export async function runOnce(stage: Stage, seed: number): Promise<Report> {
  const run = new Run(stage, seed);
  try {
    await run.all();
    return { actions: run.actions, violation: undefined };
  } catch (error) {
    const why =
      error instanceof Violation ? error.message : String((error as Error).stack ?? error);
    return { actions: run.actions, violation: why };
  } finally {
    run.abandon();
  }
}

interface Client {
  readonly name: string;
  readonly connection: ModelConnection;
  readonly wire: Wire;
  rest: Buffer;
  /** False: what the broker sends waits, and nothing can be expected of this client. */
  isReading: boolean;
  violation: Violation | undefined;
}

class Run {
  readonly actions: string[] = [];
  readonly #stage: Stage;
  readonly #random: Random;
  readonly #generator: Generator;
  readonly #model = new Model();
  #clients: Client[] = [];
  #names = 0;
  readonly #tag: string;

  constructor(stage: Stage, seed: number) {
    this.#stage = stage;
    this.#random = new Random(seed);
    this.#generator = new Generator(this.#random, stage.devices);
    // Sessions of another run on the same broker are not ours.
    this.#tag = `${seed}-`;
  }

  async all(): Promise<void> {
    for (let i = 0; i < actionsPerRun; i += 1) await this.#act();
    await this.#deliverAll();
    await this.#leave();
  }

  /** Lets go of every wire, whatever happened. */
  abandon(): void {
    for (const { wire } of this.#clients) wire.drop();
    this.#clients = [];
  }

  async #act(): Promise<void> {
    if (this.#stage.usePolicy !== undefined && this.#random.chance(4)) {
      return await this.#changePolicy(this.#random.below(2));
    }
    const open = this.#clients.filter(({ connection }) => connection.state !== "ended");
    if (open.length === 0 || (open.length < mostClients && this.#random.chance(20))) {
      return await this.#connect();
    }
    const client = this.#random.pick(open);
    const { connection } = client;
    if (connection.state === "awaiting") return await this.#send(client, this.#attack(client));
    const what = this.#random.weighted({
      publish: 30,
      acknowledge: 25,
      subscribe: 10,
      unsubscribe: 3,
      batch: 10,
      disconnect: 4,
      drop: 3,
      takeOver: 3,
      half: 3,
      stop: client.wire.setReading === undefined ? 0 : 4,
      attack: 3,
    });
    switch (what) {
      case "publish":
      case "acknowledge":
      case "subscribe":
      case "unsubscribe":
      case "disconnect":
        return await this.#send(
          client,
          encoded(this.#generator[what](connection), connection.version),
        );
      case "batch":
        return await this.#send(client, this.#batch(connection));
      case "drop":
        return await this.#drop(client);
      case "takeOver":
        return await this.#connect(connection.subject, connection.session?.clientId ?? "");
      case "half":
        return await this.#half(client);
      case "stop":
        return await this.#stopReading(client);
      case "attack":
        return await this.#send(client, this.#attack(client));
    }
  }

  async #changePolicy(which: number): Promise<void> {
    this.actions.push(`policy ${which} is in force`);
    this.#model.usePolicy(which);
    await this.#stage.usePolicy?.(which);
    await this.#settleAll(this.#clients);
  }

  #batch(connection: ModelConnection): Buffer {
    const packets = Array.from({ length: this.#random.between(2, 6) }, () => {
      const kind = this.#random.weighted({ publish: 5, acknowledge: 4, subscribe: 2 });
      return encoded(this.#generator[kind](connection), connection.version);
    });
    return Buffer.concat(packets);
  }

  /** Bytes that most likely end the connection. */
  #attack({ connection }: Client): Buffer {
    const how = this.#random.weighted({ known: 4, any: 3, mutated: 8, garbage: 1 });
    if (how === "known") return Buffer.from(this.#random.pick(attacks), "hex");
    if (how === "any") return this.#generator.any(connection);
    if (how === "garbage") return this.#random.bytes(this.#random.between(1, 40));
    return this.#generator.mutated(this.#generator.any(connection));
  }

  async #connect(subject?: string, clientId?: string): Promise<void> {
    const random = this.#random;
    const who = subject ?? random.pick([...this.#stage.devices, ...this.#stage.services]);
    const version: ProtocolVersion = random.chance(50) ? 5 : 4;
    const name =
      clientId ?? (this.#stage.devices.includes(who) && !random.chance(5) ? who : this.#clientId());
    const client = await this.#open(who, random.chance(70) ? "mqtts" : "wss");
    client.connection.version = version;
    if (random.chance(5)) return await this.#send(client, this.#attack(client));
    const packet = encoded(this.#generator.connect(version, who, name), version);
    const bytes = random.chance(5) ? this.#generator.mutated(packet) : packet;
    await this.#send(client, bytes);
  }

  #clientId(): string {
    return this.#random.chance(10) ? "" : `${this.#tag}${this.#random.below(4)}`;
  }

  async #open(subject: string, listener: Listener): Promise<Client> {
    const wire = await this.#stage.open(subject, listener);
    this.#names += 1;
    const connection = new ModelConnection(this.#model, subject);
    const client: Client = {
      name: `client ${this.#names}`,
      connection,
      wire,
      rest: Buffer.alloc(0),
      isReading: true,
      violation: undefined,
    };
    const guarded = (body: () => void) => {
      try {
        body();
      } catch (error) {
        client.violation ??= error instanceof Violation ? error : new Violation(String(error));
      }
    };
    wire.onBytes = (bytes) => guarded(() => receive(client, bytes));
    wire.onEnd = () => guarded(() => connection.finishes());
    this.#clients.push(client);
    this.actions.push(`${client.name} opens ${listener} as ${subject}`);
    return client;
  }

  /** Sends bytes in pieces of any size, and waits until the broker has done what they ask for. */
  async #send(client: Client, bytes: Buffer): Promise<void> {
    this.actions.push(`${client.name} sends ${bytes.toString("hex")}`);
    client.connection.sends(bytes);
    for (let at = 0; at < bytes.length; ) {
      const size = this.#random.chance(70) ? bytes.length : this.#random.between(1, 12);
      client.wire.send(Buffer.from(bytes.subarray(at, at + size)));
      at += size;
    }
    await this.#settle(client);
    if (hasShortKeepAlive(bytes)) await this.#drop(client);
  }

  /** A packet that is not whole: the rest comes, or never. */
  async #half(client: Client): Promise<void> {
    const packet = encoded(this.#generator.publish(client.connection), client.connection.version);
    const at = this.#random.below(packet.length);
    await this.#send(client, packet.subarray(0, at));
    if (this.#random.chance(50)) await this.#send(client, packet.subarray(at));
    else await this.#drop(client);
  }

  /** A client reads nothing while others go on, then everything. */
  async #stopReading(client: Client): Promise<void> {
    this.actions.push(`${client.name} stops reading`);
    client.isReading = false;
    client.wire.setReading?.(false);
    for (let i = this.#random.below(16); i > 0; i -= 1) {
      const others = this.#clients.filter(
        (each) =>
          each.isReading &&
          each.connection.state === "open" &&
          each.connection.partial.length === 0,
      );
      if (others.length === 0) break;
      const other = this.#random.pick(others);
      await this.#send(
        other,
        this.#random.chance(50)
          ? this.#generator.flood(other.connection)
          : encoded(this.#generator.publish(other.connection), other.connection.version),
      );
    }
    this.actions.push(`${client.name} reads on`);
    client.isReading = true;
    client.wire.setReading?.(true);
    await this.#settle(client);
  }

  /** The network connection fails. */
  async #drop(client: Client): Promise<void> {
    if (client.connection.state === "ended") return;
    this.actions.push(`${client.name} is gone`);
    client.connection.ends();
    client.wire.drop();
    await this.#settle(client);
  }

  /** Waits until the broker has done everything, for everybody: each has answered a PINGREQ, or has ended. */
  async #settle(first: Client): Promise<void> {
    await this.#settleAll([first]);
    await this.#settleAll(this.#clients.filter((client) => client !== first));
    this.#clients = this.#clients.filter(({ connection }) => !connection.isFinished);
  }

  async #settleAll(all: readonly Client[]): Promise<void> {
    const clients = all.filter(({ isReading }) => isReading);
    for (const { connection, wire } of clients) {
      if (connection.state !== "open" || connection.partial.length > 0) continue;
      const ping = encodePacket({ type: "PINGREQ" }, connection.version);
      connection.sends(ping);
      wire.send(ping);
    }
    const isSettled = ({ connection, violation }: Client) =>
      violation !== undefined ||
      (connection.state === "ended"
        ? connection.isFinished
        : connection.state === "awaiting" ||
          connection.answers.length === 0 ||
          connection.partial.length > 0);
    const waiting = () => clients.filter((client) => !isSettled(client));
    await this.#stage.until(
      () => waiting().length === 0,
      () =>
        waiting()
          .map(({ name, connection }) => `${name} (${connection.state})`)
          .join(", "),
    );
    for (const { violation, name } of clients) {
      if (violation !== undefined) throw new Violation(`${name}: ${violation.message}`);
    }
  }

  /** Every session connects, acknowledges everything, and has got all it was owed. */
  async #deliverAll(): Promise<void> {
    for (const client of [...this.#clients]) {
      if (client.connection.state === "awaiting" || client.connection.partial.length > 0)
        await this.#drop(client);
    }
    for (const session of [...this.#model.sessions]) {
      if (session.connection === undefined) await this.#resume(session);
    }
    for (const client of [...this.#clients]) await this.#acknowledgeAll(client);
    for (const { owed, isUncertain, subject, clientId } of this.#model.sessions) {
      const [missing] = owed.keys();
      if (missing === undefined || isUncertain) continue;
      throw new Violation(
        `${subject} ${clientId} never got ${JSON.stringify(missing.slice(0, 80))}`,
      );
    }
  }

  async #resume(session: ModelSession): Promise<void> {
    const client = await this.#open(session.subject, "mqtts");
    client.connection.version = 5;
    const { clientId } = session;
    const properties = { sessionExpiryInterval: 3_600 };
    const connect = { ...plainConnect, cleanStart: false, clientId, properties };
    await this.#send(client, encodePacket(connect, 5));
  }

  async #acknowledgeAll(client: Client): Promise<void> {
    const { connection } = client;
    const { session } = connection;
    for (let i = 0; i < 1_000 && connection.state === "open" && session !== undefined; i += 1) {
      const all = [...session.inflight].filter(([, each]) => each.isOnTheWire);
      if (all.length === 0) return;
      const packets = all.map(([packetId, { qos, isReleased }]) =>
        encodePacket(
          {
            type: qos === 1 ? "PUBACK" : isReleased ? "PUBCOMP" : "PUBREC",
            packetId,
            reasonCode: 0,
            properties: {},
          },
          connection.version,
        ),
      );
      await this.#send(client, Buffer.concat(packets));
    }
  }

  /** Nobody stays behind: every session ends, so that the next run and the broker's memory begin anew. */
  async #leave(): Promise<void> {
    for (const session of [...this.#model.sessions]) {
      const { connection } = session;
      const client = this.#clients.find((each) => each.connection === connection);
      if (client === undefined) continue;
      await this.#drop(client);
    }
    for (const session of [...this.#model.sessions]) {
      await this.#resume(session);
      const client = this.#clients.at(-1);
      if (client === undefined) continue;
      const goodbye = {
        type: "DISCONNECT",
        reasonCode: 0,
        properties: { sessionExpiryInterval: 0 },
      } as const;
      await this.#send(client, encodePacket(goodbye, 5));
    }
    if (this.#model.rights.which !== 0) await this.#changePolicy(0);
    await this.#clearRetained();
  }

  async #clearRetained(): Promise<void> {
    const topics = new Set([...this.#model.retained.keys(), ...this.#model.maybeRetained.keys()]);
    const [tester = ""] = this.#stage.services;
    const client = await this.#open(tester, "mqtts");
    await this.#send(client, encodePacket(plainConnect, 5));
    for (const topic of topics) {
      const packet = {
        type: "PUBLISH",
        topic,
        payload: Buffer.alloc(0),
        qos: 0,
        retain: true,
        dup: false,
        packetId: undefined,
        properties: {},
      } as const;
      await this.#send(client, encodePacket(packet, 5));
    }
    await this.#drop(client);
  }
}

const plainConnect = {
  type: "CONNECT",
  version: 5,
  cleanStart: true,
  keepAlive: 60,
  clientId: "",
  will: undefined,
  username: undefined,
  password: undefined,
  properties: {},
} as const;

function receive(client: Client, bytes: Buffer): void {
  const { packets, rest } = splitPackets(Buffer.concat([client.rest, bytes]));
  client.rest = rest;
  for (const packet of packets) client.connection.receives(packet);
}

/** A CONNECT that was changed so that its keep alive would run out during the run. */
function hasShortKeepAlive(bytes: Buffer): boolean {
  if (bytes[0] !== 0x10) return false;
  const at = bytes.indexOf("MQTT");
  if (at < 0 || bytes.length < at + 8) return false;
  const seconds = bytes.readUInt16BE(at + 6);
  return seconds > 0 && seconds < 30;
}
