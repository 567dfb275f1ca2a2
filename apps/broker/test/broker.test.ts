import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, World } from "@wardmq/feed";
import { parsePolicy } from "@wardmq/policy";
import { Broker } from "../src/broker.ts";
import { CredentialFault } from "../src/door/server-files.ts";
import { openPolicy, serviceRecord, settings } from "./broker-parts.ts";
import { issue } from "./door-certificates.ts";

const root = await issue(undefined, { commonName: "root", isAuthority: true });
const server = await issue(root, { commonName: "broker", names: [{ dns: "localhost" }] });
const port = { address: "127.0.0.1", port: 0 };
const world: World = {
  settings: { ...settings, listeners: { mqtts: port, wss: port } },
  trustAnchors: [root.pem],
  policy: parsePolicy(openPolicy),
  issuers: [],
  revokedTokens: [],
  subjects: [serviceRecord("a")],
};
const withHost = (host: string): BrokerSettings => ({
  ...world.settings,
  hosts: ["localhost", host],
});
const at = { lineage: "1", version: 1, issuedAt: Date.now() } as const;

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
    serverFiles: (hosts) => {
      if (hosts.length > 1) throw new CredentialFault("the certificate does not name all hosts");
      return { key: server.key, certificate: server.chain };
    },
  });
  try {
    broker.apply({ type: "snapshot", ...at, world });
    await broker.listen();
    run(broker, events);
  } finally {
    broker.drain();
    broker.close();
  }
}

describe("a change of settings that the server's files do not fit", () => {
  const revoked = [{ ...serviceRecord("a"), state: "revoked" } as const];
  const sentences = (events: readonly Omit<SecurityEvent, "at">[]) =>
    events.filter(({ type }) => type === "settings-refused").map(({ why }) => why);

  test("keeps no revocation out, neither beside it nor behind it, and is said", () =>
    withBroker((broker, events) => {
      const change = { settings: withHost("other"), subjects: revoked };
      broker.apply({ type: "change", ...at, change });
      assert.deepEqual(sentences(events), ["the certificate does not name all hosts"]);
      assert.equal(events.at(-1)?.type, "subject-revoked");
      assert.deepEqual(broker.settings.hosts, ["localhost", "other"]);
    }));

  test("keeps no snapshot of a control that was started again out", () =>
    withBroker((broker, events) => {
      const next = { ...world, settings: withHost("other"), subjects: revoked };
      broker.apply({ type: "snapshot", ...at, world: next });
      assert.equal(sentences(events).length, 1);
      assert.equal(events.at(-1)?.type, "subject-revoked");
    }));

  test("is refused whole where the policy beside it is none", () =>
    withBroker((broker, events) => {
      const change = { settings: withHost("other"), policy: { roles: 1 }, subjects: revoked };
      assert.throws(() => broker.apply({ type: "change", ...at, change }));
      assert.deepEqual(broker.settings.hosts, ["localhost"]);
      assert.ok(!events.some(({ type }) => type === "subject-revoked"));
    }));
});
