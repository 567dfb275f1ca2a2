import type { Path } from "./path.ts";
import { hasReceived, received, type Scene, subscribe, textOf, waiting } from "./scene.ts";

const refused = { v5: "0x87", v3: "0x80", events: ["subscribe-denied"] } as const;
const cut = { v5: "0x87", v3: "closed", events: ["subscribe-denied"] } as const;
const ended = { v5: "0x98", v3: "closed", events: ["subject-revoked"] } as const;
const notLetIn = { v5: "not let in", v3: "not let in", events: ["subject-revoked"] } as const;
/** The subscription is taken away, and what waited for it withheld. */
const withheld = {
  v5: "accepted",
  v3: "accepted",
  events: ["delivery-denied", "subscribe-denied"],
} as const;

/** The filter in a group of the cell's own, unless it is that of a group already. */
const shared = ({ payload, asked }: Scene) =>
  asked.startsWith("$share/") ? asked : `$share/${payload}/${asked}`;

/** A subscription before the change, a message after it. */
const live = (name: string, qos: 0 | 1 | 2, { via = "mqtts", isShared = false } = {}): Path => ({
  name,
  permitted: "granted",
  denied: refused,
  lost: { policy: cut, revocation: ended },
  play: async (scene) => {
    const { client } = await scene.connectSubject(via === "wss" ? { via } : {});
    if (client === undefined) throw new Error("no connection");
    const answer = await subscribe(client, isShared ? shared(scene) : scene.asked, qos);
    await scene.change();
    await scene.publishSample({ qos: 2 });
    const { messages, ending } = await received(client);
    const isDelivered = messages.some((message) => textOf(message) === scene.payload);
    return { answer: ending ?? answer, isDelivered };
  },
});

/** A subscription and a message before the change, its delivery after it. */
const waited = (
  name: string,
  { filter = ({ asked }: Scene) => asked, qos = 1 as 1 | 2, isInFlight = false } = {},
): Path => ({
  name,
  permitted: "accepted",
  denied: refused,
  lost: { policy: withheld, revocation: notLetIn },
  play: async (scene) => {
    const cleared = await scene.connectSubject({}); // of what a cell before has left
    await cleared.client?.disconnect();
    const { client } = await scene.connectSubject(waiting);
    if (client === undefined) throw new Error("no connection");
    const granted = await subscribe(client, filter(scene), qos);
    if (!isInFlight) await client.disconnect();
    await scene.publishSample({ qos: 2 });
    if (isInFlight) {
      await received(client); // and acknowledges nothing
      await client.disconnect();
    }
    await scene.change();
    const again = await scene.connectSubject(waiting);
    const isDelivered = again.client && (await hasReceived(again.client, scene.payload));
    return {
      answer: granted === "granted" ? again.answer : granted,
      isDelivered: isDelivered === true,
    };
  },
});

/** Each way of a message to a subject that reads. */
export const readingPaths: readonly Path[] = [
  live("SUBSCRIBE at QoS 0", 0),
  live("SUBSCRIBE at QoS 1", 1),
  live("SUBSCRIBE at QoS 2", 2),
  live("SUBSCRIBE over WebSocket", 1, { via: "wss" }),
  live("SUBSCRIBE to a shared subscription", 1, { isShared: true }),
  {
    name: "retained, to a new subscription",
    permitted: "granted",
    denied: refused,
    lost: { policy: refused, revocation: ended },
    play: async (scene) => {
      await scene.publishSample({ qos: 1, retain: true });
      const client = await scene.subject();
      await scene.change();
      const answer = await subscribe(client, scene.asked);
      if (answer !== "granted")
        return { answer, isDelivered: await hasReceived(client, scene.payload) };
      const isDelivered = await hasReceived(client, scene.payload);
      await client.unsubscribe(scene.asked);
      return { answer, isDelivered };
    },
  },
  waited("queued for its offline session"),
  waited("in flight at QoS 1, sent again after a reconnect", { isInFlight: true }),
  waited("in flight at QoS 2, sent again after a reconnect", { isInFlight: true, qos: 2 }),
  waited("queued for it as a member of a shared subscription", { filter: shared }),
  {
    ...live("left to it by another member of a shared subscription", 1),
    play: async (scene) => {
      const leaver = await scene.observer("leaver");
      await subscribe(leaver, shared(scene));
      await leaver.disconnect();
      await scene.publishSample({ qos: 1 });
      const { client } = await scene.connectSubject({});
      if (client === undefined) throw new Error("no connection");
      const answer = await subscribe(client, shared(scene));
      await scene.change();
      await scene.observer("leaver", { cleanStart: true }); // ends the session
      const { messages, ending } = await received(client);
      const isDelivered = messages.some((message) => textOf(message) === scene.payload);
      return { answer: ending ?? answer, isDelivered };
    },
  },
];
