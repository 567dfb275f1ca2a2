import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, World } from "@wardmq/feed";
import { parsePolicy } from "@wardmq/policy";
import { issue } from "../../../test/support/certificates.ts";
import { Broker } from "../src/broker.ts";
import { CredentialFault } from "../src/door/server-files.ts";
import { MemoryJournalStore } from "../src/store/memory-journal-store.ts";
import { openPolicy, serviceRecord, settings } from "./broker-parts.ts";

const root = await issue(undefined, { commonName: "root", isAuthority: true });
const server = await issue(root, { commonName: "broker", names: [{ dns: "localhost" }] });
const port = { address: "127.0.0.1", port: 0, accept: "certificate" } as const;
const world: Omit<World, "subjects"> = {
  settings: { ...settings, listeners: { ...settings.listeners, mqtts: port, wss: port } },
  trustAnchors: [root.pem],
  feedKeys: [],
  policy: parsePolicy(openPolicy),
  issuers: [],
  foreignCas: [],
  revokedTokens: [],
};
const subjects = [serviceRecord("a")];
const withHost = (host: string): BrokerSettings => ({
  ...world.settings,
  hosts: ["localhost", host],
});
const at = { lineage: "1", version: 1, issuedAt: Date.now(), parts: 0 } as const;

/** A broker that listens, with a server certificate for localhost alone. */
async function withBroker(
  run: (broker: Broker, events: Omit<SecurityEvent, "at">[]) => void,
): Promise<void> {
  const events: Omit<SecurityEvent, "at">[] = [];
  const broker = new Broker({
    now: Date.now,
    monotonic: () => performance.now(),
    record: (event) => events.push(event),
    failed: (error) => assert.fail(String(error)),
    report: () => {},
    certificateUsed: () => {},
    foreignUsed: () => {},
    useFeedKeys: () => {},
    store: new MemoryJournalStore(),
    serverFiles: (hosts) => {
      if (hosts.length > 1) throw new CredentialFault("the certificate does not name all hosts");
      return { key: server.key, certificate: server.chain };
    },
  });
  try {
    broker.apply({ type: "snapshot", ...at, world, subjects });
    await broker.listen();
    run(broker, events);
  } finally {
    broker.drain();
    await broker.close();
  }
}

describe("a change of settings that the server's files do not fit", () => {
  const revoked = [{ ...serviceRecord("a"), state: "revoked" } as const];
  const sentences = (events: readonly Omit<SecurityEvent, "at">[]) =>
    events.filter(({ type }) => type === "settings-refused").map(({ why }) => why);

  test("keeps no revocation out, neither beside it nor behind it, and is said", () =>
    withBroker((broker, events) => {
      const change = { settings: withHost("other") };
      broker.apply({ type: "change", ...at, change, subjects: revoked });
      assert.deepEqual(sentences(events), ["the certificate does not name all hosts"]);
      assert.equal(broker.subject("service:a")?.state, "revoked");
      assert.deepEqual(broker.settings.hosts, ["localhost", "other"]);
    }));

  test("keeps no snapshot of a control that was started again out", () =>
    withBroker((broker, events) => {
      const next = { ...world, settings: withHost("other") };
      broker.apply({ type: "snapshot", ...at, world: next, subjects: revoked });
      assert.equal(sentences(events).length, 1);
      assert.equal(broker.subject("service:a")?.state, "revoked");
    }));

  test("is refused whole where the policy beside it is none", () =>
    withBroker((broker) => {
      const change = { settings: withHost("other"), policy: { roles: 1 } };
      assert.throws(() => broker.apply({ type: "change", ...at, change, subjects: revoked }));
      assert.deepEqual(broker.settings.hosts, ["localhost"]);
      assert.equal(broker.subject("service:a")?.state, "active");
    }));
});
