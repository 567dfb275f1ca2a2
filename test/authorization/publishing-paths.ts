import type { Path } from "./path.ts";
import { hasReceived, publish, received, type Scene, subscribe, waiting } from "./scene.ts";

const refused = { v5: "0x87", v3: "closed", events: ["publish-denied"] } as const;
const dropped = { v5: "no answer", v3: "no answer", events: ["publish-denied"] } as const;
const ended = { v5: "0x98", v3: "closed", events: ["subject-revoked"] } as const;
const withheld = { v5: "accepted", v3: "accepted", events: ["delivery-denied"] } as const;
const withheldOfRevoked = { ...withheld, events: ["delivery-denied", "subject-revoked"] } as const;
const refusedWill = { v5: "0x87", v3: "0x05", events: ["will-denied"] } as const;

/** A PUBLISH after the change; a watcher sees whether it arrives. */
const live = (name: string, qos: 0 | 1 | 2): Path => ({
  name,
  permitted: qos === 0 ? "no answer" : "accepted",
  denied: qos === 0 ? dropped : refused,
  lost: { policy: qos === 0 ? dropped : refused, revocation: ended },
  play: async (scene) => {
    const client = await scene.subject();
    await scene.change();
    return { answer: await publish(client, scene.asked, scene.payload, { qos }) };
  },
});

/** A PUBLISH before the change, to a reader whose session has to wait; it comes back after it. */
const waited = (
  name: string,
  meet: (scene: Scene) => Promise<{ publishTo: () => Promise<void>; isDelivered: Read }>,
): Path => ({
  name,
  permitted: "accepted",
  denied: refused,
  lost: { policy: withheld, revocation: withheldOfRevoked },
  play: async (scene) => {
    const { publishTo, isDelivered } = await meet(scene);
    const client = await scene.subject();
    const answer = await publish(client, scene.asked, scene.payload, { qos: 2 });
    await publishTo();
    await scene.change();
    return { answer, isDelivered: await isDelivered() };
  },
});

type Read = () => Promise<boolean>;
const nothing = async () => {};

/** Each way of a message out of a subject that publishes. */
export const publishingPaths: readonly Path[] = [
  live("PUBLISH at QoS 0", 0),
  live("PUBLISH at QoS 1", 1),
  live("PUBLISH at QoS 2", 2),
  {
    ...live("PUBLISH over WebSocket", 1),
    play: async (scene) => {
      const { client } = await scene.connectSubject({ via: "wss" });
      if (client === undefined) throw new Error("no connection over WebSocket");
      await scene.change();
      return { answer: await publish(client, scene.asked, scene.payload, { qos: 1 }) };
    },
  },
  {
    ...live("PUBLISH to a topic that was published to before", 0),
    denied: { ...dropped, events: ["publish-denied", "publish-denied"] }, // each time
    play: async (scene) => {
      const client = await scene.subject();
      await publish(client, scene.asked, "the one before");
      await scene.change();
      return { answer: await publish(client, scene.asked, scene.payload) };
    },
  },
  {
    ...live("PUBLISH by a topic alias after it was set", 1),
    versions: [5],
    denied: { ...refused, events: ["publish-denied", "publish-denied"] }, // when set and when used
    play: async (scene) => {
      const client = await scene.subject();
      const options = { qos: 1, properties: { topicAlias: 1 } } as const;
      await publish(client, scene.asked, "sets the alias", options);
      await scene.change();
      return { answer: await publish(client, "", scene.payload, options) };
    },
  },
  {
    ...live("PUBLISH by a topic alias that stood for a granted topic", 1),
    versions: [5],
    denied: { ...refused, events: ["publish-denied", "publish-denied"] },
    play: async (scene) => {
      const client = await scene.subject();
      const options = { qos: 1, properties: { topicAlias: 2 } } as const;
      await publish(client, scene.granted, "sets the alias", options);
      await publish(client, scene.asked, "moves the alias", options);
      await scene.change();
      return { answer: await publish(client, "", scene.payload, options) };
    },
  },
  {
    ...waited("retained, to a new subscription", async (scene) => ({
      publishTo: nothing,
      isDelivered: async () => {
        const reader = await scene.observer();
        await subscribe(reader, scene.asked);
        return hasReceived(reader, scene.payload);
      },
    })),
    play: async (scene) => {
      const client = await scene.subject();
      const options = { qos: 1, retain: true } as const;
      const answer = await publish(client, scene.asked, scene.payload, options);
      await scene.change();
      const reader = await scene.observer();
      await subscribe(reader, scene.asked);
      return { answer, isDelivered: await hasReceived(reader, scene.payload) };
    },
  },
  waited("queued for an offline session", async (scene) => {
    const before = await scene.observer("reader");
    await subscribe(before, scene.asked, 2);
    await before.disconnect();
    return {
      publishTo: nothing,
      isDelivered: async () => hasReceived(await scene.observer("reader"), scene.payload),
    };
  }),
  ...([1, 2] as const).map((qos) =>
    waited(`in flight at QoS ${qos}, sent again after a reconnect`, async (scene) => {
      const before = await scene.observer("reader");
      await subscribe(before, scene.asked, qos);
      return {
        publishTo: async () => {
          await received(before); // and acknowledges nothing
          await before.disconnect();
        },
        isDelivered: async () => hasReceived(await scene.observer("reader"), scene.payload),
      };
    }),
  ),
  waited("queued for a member of a shared subscription", async (scene) => {
    const before = await scene.observer("reader");
    await subscribe(before, `$share/${scene.payload}/${scene.asked}`);
    await before.disconnect();
    return {
      publishTo: nothing,
      isDelivered: async () => hasReceived(await scene.observer("reader"), scene.payload),
    };
  }),
  waited("left by a member of a shared subscription to another", async (scene) => {
    const filter = `$share/${scene.payload}/${scene.asked}`;
    const leaver = await scene.observer("leaver");
    await subscribe(leaver, filter);
    await leaver.disconnect();
    return {
      publishTo: nothing,
      isDelivered: async () => {
        const other = await scene.observer();
        await subscribe(other, filter);
        await scene.observer("leaver", { cleanStart: true }); // ends the session
        return hasReceived(other, scene.payload);
      },
    };
  }),
  {
    name: "will, at CONNECT",
    permitted: "accepted",
    denied: refusedWill,
    lost: {
      policy: refusedWill,
      revocation: { v5: "not let in", v3: "not let in", events: ["subject-revoked"] },
    },
    play: async (scene) => {
      await scene.change();
      const will = { topic: scene.asked, payload: scene.payload };
      const { client, answer } = await scene.connectSubject({ will });
      client?.drop();
      if (client !== undefined) await scene.connectSubject({}); // the connection before has ended by then
      return { answer };
    },
  },
  {
    name: "will, when it is sent",
    permitted: "accepted",
    denied: refusedWill,
    lost: {
      policy: { ...withheld, events: ["will-denied"] },
      revocation: { ...withheld, events: ["subject-revoked", "will-denied"] },
    },
    play: async (scene) => {
      const will = { topic: scene.asked, payload: scene.payload };
      const { client, answer } = await scene.connectSubject({ will });
      await scene.change();
      client?.drop();
      if (client !== undefined) await scene.connectSubject({});
      return { answer };
    },
  },
  {
    name: "will with a delay, sent when its session ends",
    versions: [5],
    permitted: "accepted",
    denied: refusedWill,
    lost: {
      policy: { ...withheld, events: ["will-denied"] },
      revocation: { ...withheld, events: ["subject-revoked", "will-denied"] },
    },
    play: async (scene) => {
      const properties = { willDelayInterval: 600 };
      const will = { topic: scene.asked, payload: scene.payload, properties };
      const { client, answer } = await scene.connectSubject({ ...waiting, will });
      client?.drop();
      await scene.change();
      if (client !== undefined) await scene.connectSubject({ cleanStart: true });
      return { answer };
    },
  },
];
