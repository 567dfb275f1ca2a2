import { once } from "node:events";
import type { Socket } from "node:net";
import { encodePacket, type Packet, type ProtocolVersion } from "@wardmq/mqtt";
import { bytes } from "../support/bytes.ts";
import type { RawClient } from "../support/raw-client.ts";
import { opcodes, openWebSocket } from "../support/web-socket.ts";
import type { Clients, ConnectedClient } from "./clients.ts";

/** One way to make the broker hold more than it should; `scale` 1 is the whole of it. */
export interface Attack {
  readonly name: string;
  run(clients: Clients, scale: number): Promise<void>;
}

const settings = {
  qos: 0,
  retain: false,
  dup: false,
  packetId: undefined,
  properties: {},
} as const;

function publish(topic: string, rest: Partial<Packet & { type: "PUBLISH" }> = {}): Packet {
  return { type: "PUBLISH", topic, payload: Buffer.alloc(0), ...settings, ...rest };
}

/** Sends packets as fast as the broker reads them, or gives up when it ends the connection or reads no more. */
async function flood(
  client: RawClient,
  count: number,
  make: (i: number) => Packet | Buffer,
): Promise<void> {
  const { socket } = client.wire;
  for (let i = 0; i < count && !socket.destroyed; ) {
    const parts: Buffer[] = [];
    for (let size = 0; i < count && size < 32_768; i += 1) {
      const made = make(i);
      const part = Buffer.isBuffer(made) ? made : Buffer.from(encodePacket(made, client.version));
      parts.push(part);
      size += part.length;
    }
    client.wire.send(Buffer.concat(parts));
    if (socket.writableNeedDrain && !(await drained(socket))) return;
  }
}

async function drained(socket: Socket): Promise<boolean> {
  try {
    await once(socket, "drain", { signal: AbortSignal.timeout(1_000) });
    return true;
  } catch {
    return false; // it reads no more, or the connection has ended
  }
}

/** Names nobody has used, of so many levels and bytes. */
const madeUp = (i: number, levels: number, size: number) => {
  const level = `${i.toString(36)}${"x".repeat(size)}`.slice(0, Math.floor(size / levels) - 1);
  return Array.from({ length: levels }, () => level).join("/");
};

/** Reads nothing more; what it asked for stays with the broker. */
function stopReading(client: RawClient): void {
  client.wire.socket.pause();
}

async function connectMany(
  clients: Clients,
  count: number,
  options: Parameters<Clients["connect"]>[0] = {},
): Promise<ConnectedClient[]> {
  const all: ConnectedClient[] = [];
  while (all.length < count) {
    const few = Math.min(10, count - all.length);
    all.push(...(await Promise.all(Array.from({ length: few }, () => clients.connect(options)))));
  }
  return all;
}

const kept = { cleanStart: false, properties: { sessionExpiryInterval: 600 } };
const asV3 = { version: 4 as ProtocolVersion };

/** Attacks of the threat model that aim at memory; each is run against a broker whose memory is watched. */
export const attacks: readonly Attack[] = [
  {
    name: "2,000 handshakes that stop in the middle of a ClientHello",
    run: async (clients, scale) => {
      const hello = bytes("16 0301 03e8 01 000600 0303 00x994");
      for (let i = 0; i < 2_000 * scale; i += 1) (await clients.dial()).write(hello);
    },
  },
  {
    name: "500 handshakes that announce a large message and send much of it",
    run: async (clients, scale) => {
      const record = bytes("16 0301 3e80 00x16000");
      for (let i = 0; i < 500 * scale; i += 1) {
        const socket = await clients.dial();
        socket.write(bytes("16 0301 3e80 01 015000 0303 00x15994"));
        for (let n = 0; n < 4; n += 1) socket.write(record);
      }
    },
  },
  {
    name: "500 subjects that send most of a CONNECT",
    run: async (clients, scale) => {
      for (let i = 0; i < 500 * scale; i += 1) {
        const client = await clients.open();
        client.send(bytes("10 80 7d 0004 4d515454 05 02 003c 00 3e00 61x15800"));
      }
    },
  },
  {
    name: "500 packets of 1 MiB that are announced and do not come",
    run: async (clients, scale) => {
      for (const client of await connectMany(clients, 500 * scale))
        client.send("30 f0 ff 3f 0001 61");
    },
  },
  {
    name: "500 packets of 1 MiB of which the last byte does not come",
    run: async (clients, scale) => {
      const most = Buffer.concat([bytes("30 f0 ff 3f 0001 61 00"), Buffer.alloc(1_048_000)]);
      for (const client of await connectMany(clients, 500 * scale)) {
        client.wire.socket.write(most);
        await drained(client.wire.socket);
      }
    },
  },
  {
    name: "100 readers that do not read",
    run: async (clients, scale) => {
      for (const reader of await connectMany(clients, Math.ceil(100 * scale))) {
        await reader.subscribe(clients.topic("slow"), { qos: 1 });
        stopReading(reader);
      }
      const writer = await clients.connect();
      const payload = Buffer.alloc(20_000);
      await flood(writer, 2_000 * scale, () => publish(clients.topic("slow"), { payload }));
    },
  },
  {
    name: "100 readers that acknowledge nothing and keep their sessions",
    run: async (clients, scale) => {
      for (const reader of await connectMany(clients, Math.ceil(100 * scale), kept)) {
        await reader.subscribe(clients.topic(reader.clientId), { qos: 1 });
        reader.wire.onBytes = () => {};
        const payload = Buffer.alloc(100_000);
        const writer = await clients.connect();
        writer.wire.onBytes = () => {};
        const topic = clients.topic(reader.clientId);
        await flood(writer, 100, (i) => publish(topic, { payload, qos: 1, packetId: i + 1 }));
        writer.drop();
      }
    },
  },
  {
    name: "300,000 made-up topics with readers of all of them",
    run: async (clients, scale) => {
      for (const reader of await connectMany(clients, Math.ceil(20 * scale))) {
        await reader.subscribe("+/+/#", { qos: 0 });
        reader.wire.onBytes = () => {};
      }
      const writer = await clients.connect();
      await flood(writer, 300_000 * scale, (i) => publish(madeUp(i, 2, 500)));
    },
  },
  {
    name: "100,000 retained messages in deep topics",
    run: async (clients, scale) => {
      const writer = await clients.connect();
      await flood(writer, 100_000 * scale, (i) =>
        publish(madeUp(i, 16, 500), { retain: true, payload: Buffer.alloc(1) }),
      );
    },
  },
  {
    name: "10,000 deep subscriptions",
    run: async (clients, scale) => {
      for (const client of await connectMany(clients, Math.ceil(100 * scale))) {
        client.wire.onBytes = () => {};
        await flood(client, 100, (i) => ({
          type: "SUBSCRIBE",
          packetId: i + 1,
          properties: {},
          subscriptions: [
            {
              filter: madeUp(i, 16, 1_000),
              qos: 0,
              noLocal: false,
              retainAsPublished: false,
              retainHandling: 0,
            },
          ],
        }));
      }
    },
  },
  {
    name: "QoS 2 messages that are never released",
    run: async (clients, scale) => {
      for (const client of await connectMany(clients, Math.ceil(100 * scale), asV3)) {
        client.wire.onBytes = () => {};
        await flood(client, 65_000, (i) => publish("q", { qos: 2, packetId: i + 1 }));
      }
    },
  },
  {
    name: "5,000 sessions of one service, each with a will",
    run: async (clients, scale) => {
      const will = {
        topic: "w",
        payload: "x".repeat(10_000),
        properties: { willDelayInterval: 600 },
      };
      for (let i = 0; i < 5_000 * scale; i += 1) {
        const client = await clients.open();
        await client.connect({ clientId: clients.clientId(), ...kept, will });
        client.drop();
      }
    },
  },
  {
    name: "topic aliases that are set anew for 100,000 topics",
    run: async (clients, scale) => {
      const writer = await clients.connect({ properties: { topicAliasMaximum: 65_535 } });
      await writer.subscribe("#", { qos: 0 });
      writer.wire.onBytes = () => {};
      await flood(writer, 100_000 * scale, (i) =>
        publish(madeUp(i, 2, 300), { properties: { topicAlias: (i % 16) + 1 } }),
      );
    },
  },
  {
    name: "topics and filters of 65,000 levels",
    run: async (clients, scale) => {
      const deep = "/".repeat(65_000);
      for (let i = 0; i < 200 * scale; i += 1) {
        const client = await clients.connect();
        client.sendPublish(deep, "x");
        await client.subscribe(deep);
        client.drop();
      }
    },
  },
  {
    name: "WebSocket pings of a client that does not read",
    run: async (clients, scale) => {
      for (let n = 0; n < 20 * scale; n += 1) {
        const socket = await clients.openTls({ via: "wss" });
        const wire = await openWebSocket(socket);
        socket.pause();
        for (let i = 0; i < 20_000 && !socket.destroyed; i += 1) {
          wire.sendFrame(opcodes.ping, Buffer.alloc(125));
          if (socket.writableNeedDrain && !(await drained(socket))) break;
        }
      }
    },
  },
  {
    name: "WebSocket frames that announce 2^62 bytes",
    run: async (clients, scale) => {
      for (let n = 0; n < 200 * scale; n += 1) {
        const socket = await clients.openTls({ via: "wss" });
        await openWebSocket(socket);
        socket.write(bytes("82 ff 4000000000000000 01020304 10 ff ff ff 7f"));
      }
    },
  },
  {
    name: "PINGREQs of a client that does not read",
    run: async (clients, scale) => {
      for (const client of await connectMany(clients, Math.ceil(50 * scale))) {
        stopReading(client);
        const pings = bytes("c0 00".repeat(8_000));
        for (let i = 0; i < 100 && !client.wire.socket.destroyed; i += 1) {
          client.wire.socket.write(pings);
          if (client.wire.socket.writableNeedDrain && !(await drained(client.wire.socket))) break;
        }
      }
    },
  },
];
