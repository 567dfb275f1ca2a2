/**
 * Fills a store, or starts a broker on it and prints what that cost:
 * `store-start.ts fill|start FOLDER DEVICES MESSAGES`. Each device has a session with one subscription; messages of 500 B
 * wait for them in turn.
 */
import { parseConfig } from "@wardmq/config";
import type { SubjectRecord } from "@wardmq/feed";
import { parsePolicy } from "@wardmq/policy";
import { Broker } from "../apps/broker/src/broker.ts";
import { SubjectState } from "../apps/broker/src/enforcement/subjects.ts";
import { ApplicationMessage } from "../apps/broker/src/routing/application-message.ts";
import { Topic } from "../apps/broker/src/routing/topic.ts";
import { OwedMessage, StoredSession } from "../apps/broker/src/session/owed.ts";
import { Journal } from "../apps/broker/src/store/journal.ts";
import { SqliteJournalStore } from "../apps/broker/src/store/sqlite-journal-store.ts";

const policy = `topics:
  templates: ["{org}/{site}/{ward}/device/{uuid}/{channel}"]
roles:
  device:
    publish: ["{org}/{site}/{ward}/device/{id}/telemetry"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
  service: { publish: ["{org}/+/+/device/+/command"] }
bindings:
  - { role: device, to: "device:*" }
  - { role: service, to: "service:*" }
`;
const payloadBytes = 500;
const saidAtOnce = 1_000;

const service: SubjectRecord = {
  id: "service:orders",
  kind: "service",
  state: "active",
  attributes: { org: "clinic", id: "orders" },
  spiffeId: "spiffe://prod.clinic/service/orders",
  certificates: [],
};

const [what, folder = "", devices = "", messages = ""] = process.argv.slice(2);
const key = { id: "00000001", key: Buffer.alloc(32, 1) };
const store = new SqliteJournalStore({ folder, keys: [key], currentKey: key.id, store: "bench" });
const subjects = Array.from({ length: Number(devices) }, (_, i) => deviceRecord(i));
if (what === "fill") await fill();
else await start();
process.exit(0);

function deviceRecord(number: number): SubjectRecord {
  const id = `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
  const certificate = { fingerprint: `${number}`.padStart(64, "0"), notAfter: 2e12 };
  return {
    id: `device:${id}`,
    kind: "device",
    state: "active",
    attributes: { org: "clinic", site: "main", ward: `w${number % 40}`, id },
    spiffeId: `spiffe://prod.clinic/device/${id}`,
    certificates: [{ ...certificate, state: "active" }],
  };
}

function commandTopic({ attributes: { org, site, ward, id } }: SubjectRecord): string {
  return `${org}/${site}/${ward}/device/${id}/command`;
}

async function fill(): Promise<void> {
  const journal = new Journal({
    store,
    schedule: setImmediate,
    later: (work, ms) => void setTimeout(work, ms),
    spareBytes: 2 ** 50,
    limit: () => 2 ** 50,
    onFailing: (error) => {
      throw error;
    },
    onRecovered: () => {},
  });
  await journal.read(() => {});
  let said = 0;
  const more = async () => {
    said += 1;
    if (said % saidAtOnce > 0) return;
    journal.commit();
    while (!journal.isSettled) await new Promise((resolve) => setImmediate(resolve));
  };
  const sessions: number[] = [];
  for (const subject of subjects) {
    const id = journal.nextId();
    const filter = commandTopic(subject);
    journal.session(new StoredSession(id, () => {}), {
      id,
      subject: subject.id,
      clientId: String(subject.attributes["id"]),
      expirySeconds: 1_000_000,
      disconnectedAt: Date.now(),
      subscriptions: [
        {
          filter,
          topicFilter: filter,
          group: undefined,
          qos: 1,
          noLocal: false,
          retainAsPublished: false,
          identifier: 0,
        },
      ],
      received: [],
      will: undefined,
    });
    sessions.push(id);
    await more();
  }
  const publisher = new SubjectState(service);
  const topics = subjects.map((subject) => new Topic(commandTopic(subject)));
  for (let i = 0; i < Number(messages); i += 1) {
    const topic = topics[i % topics.length] as Topic;
    const message = new ApplicationMessage(topic, publisher, Buffer.alloc(payloadBytes, i));
    message.qos = 1;
    message.payloadEnd = payloadBytes;
    message.isKept();
    const owed = new OwedMessage(message, 1, false, undefined, undefined, 0);
    owed.store(journal, sessions[i % sessions.length] as number);
    await more();
  }
  await journal.close();
}

/** From the first byte read to the last session put in place, the first snapshot of the feed included. */
async function start(): Promise<void> {
  const { settings } = parseConfig("org: clinic\nhosts: [localhost]\n", []);
  const lines: string[] = [];
  const rssBefore = process.memoryUsage.rss();
  const startedAt = performance.now();
  const broker = new Broker({
    now: Date.now,
    monotonic: () => performance.now(),
    record: () => {},
    failed: (error) => {
      throw error;
    },
    report: (line) => lines.push(line),
    certificateUsed: () => {},
    foreignUsed: () => {},
    useFeedKeys: () => {},
    store,
    serverFiles: () => ({ key: "", certificate: "" }),
  });
  await broker.readStore();
  broker.apply({
    type: "snapshot",
    lineage: "bench",
    version: 1,
    issuedAt: Date.now(),
    parts: 0,
    world: {
      settings,
      trustAnchors: [],
      foreignCas: [],
      feedKeys: [],
      policy: parsePolicy(policy),
      issuers: [],
      revokedTokens: [],
    },
    subjects: [...subjects, service],
  });
  const milliseconds = performance.now() - startedAt;
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const megabytes = (process.memoryUsage.rss() - rssBefore) / 1e6;
  const opened = lines.find((line) => line.startsWith("the store is open"));
  process.stdout.write(JSON.stringify({ milliseconds, megabytes, opened }));
}
