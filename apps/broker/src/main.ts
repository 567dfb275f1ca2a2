import { fstatSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BrokerMessage } from "@wardmq/feed";
import { KeyFile, KeyProviders, KeysError, keyEnvironment } from "@wardmq/keys";
import { environmentFaults } from "@wardmq/tls";
import { Broker } from "./broker.ts";
import { ServerCertificateRenewal } from "./door/server-certificate.ts";
import { CredentialFault, ServerFiles } from "./door/server-files.ts";
import { EventOutbox } from "./feed/event-outbox.ts";
import { FeedClient } from "./feed/feed-client.ts";
import { FeedKeys } from "./feed/feed-keys.ts";
import { IntrospectionClient } from "./feed/introspection-client.ts";
import { StoreNews } from "./feed/store-news.ts";
import { rekey } from "./store/rekey.ts";
import { SqliteJournalStore, StoreError } from "./store/sqlite-journal-store.ts";
import { RuntimeThreads } from "./thread-priority.ts";

/** How often the files of the server certificate are looked at. */
const watchMs = 2_000;
/** How often the age of the feed and the runtime's threads are looked at. */
const lookMs = 1_000;
/** How long a drain may take before what is left is cut off. */
const drainMs = 3_000;
/** How often control hears how far the store is, to know an older copy of it. */
const storedMs = 5_000;
/** How long control may take to tell the world before the last one known is good enough. */
const controlMs = 5_000;

/** The broker process: `main.ts DIR`. Joins the parts; everything it knows comes from DIR/broker and the feed. */
function main(): void {
  const faults = environmentFaults(process.env, process.execArgv);
  if (faults.length > 0) stop(2, faults.join("\nwardmq: "));
  const directory = process.argv[2] ?? ".";
  const providers = new KeyProviders(keyEnvironment(process.env));
  const keys = openKeys(directory, providers);
  const provider = providers.open(keys.provider, `${directory}/broker`);
  const serverFiles = new ServerFiles(directory, providers, provider);
  serverFiles.settle();
  const store = openStore(directory, keys);
  const outbox = new EventOutbox(Date.now);
  const feedKeys = readFeedKeys(directory);
  let send: ((message: BrokerMessage) => boolean) | undefined;
  const report = (line: string) => console.error(`wardmq broker: ${line}`);
  const introspection = new IntrospectionClient((message) => send?.(message) ?? false);
  const broker = new Broker({
    now: Date.now,
    monotonic: () => performance.now(),
    record: outbox.record,
    failed: (error) => {
      console.error("wardmq broker: internal error", error);
      outbox.record({ type: "internal-error", why: "see the broker's standard error" });
    },
    report,
    certificateUsed: (fingerprint) => void send?.({ type: "used", fingerprint }),
    foreignUsed: (certificate) =>
      void send?.({ type: "foreign", certificate: Buffer.from(certificate).toString("base64") }),
    useFeedKeys: (keys) => feedKeys.use(keys),
    tell: (message) => send?.(message) === true,
    keyMissing: (issuer) => void send?.({ type: "key-missing", issuer }),
    introspect: (token) => introspection.ask(token),
    store,
    serverFiles: (hosts) => serverFiles.read(hosts, Date.now()),
  });
  const certificate = new ServerCertificateRenewal({
    files: serverFiles,
    world: () => broker.serverWorld,
    send: (message) => send?.(message) ?? false,
    use: () => broker.reloadServerFiles(),
    now: Date.now,
    failed: (why) => {
      outbox.record({ type: "settings-refused", why });
      report(`${why}; the former certificate stays`);
    },
  });
  const storeNews = new StoreNews(() => broker.storePosition);
  let ready: BrokerMessage | undefined;
  let isListening = false;
  const feed = new FeedClient({
    path: "run/feed.sock",
    verify: feedKeys.verify,
    stage: (part, subjects) => broker.stage(part, subjects),
    apply: (body) => {
      const ended = broker.apply(body);
      if (!isListening) {
        isListening = true;
        listen(broker, certificate, outbox).then((message) => {
          ready = message;
          send?.(message);
          certificate.tell();
        }, stopped);
      }
      return ended;
    },
    onAlive: (issuedAt) => {
      broker.freshAt(issuedAt);
      certificate.look();
    },
    onServerCertificate: (message) => {
      if (message.type === "renew-server-certificate") certificate.renew();
      else if (message.type === "server-certificate") certificate.take(message.certificate);
      else certificate.refused(message.why);
    },
    keep: (lines, type) => broker.keepFeed(lines, type),
    rekey: async () => {
      const rekeyed = await rekey(keys, store, () => broker.rewriteStore(), Date.now);
      for (const keyId of rekeyed.destroyed) {
        outbox.record({ type: "state-key-destroyed", details: { store: "broker", keyId } });
      }
      return rekeyed;
    },
    aside: (body) => {
      if (body.type === "introspected") introspection.answered(body);
      else if (body.type === "lift-ban") broker.liftBan(body.of, body.at);
      else send?.({ type: "bans", bans: broker.bans() });
    },
    onConnected: (to) => {
      send = to;
      storeNews.tell(to);
      if (ready !== undefined) {
        to(ready);
        certificate.tell();
      }
      outbox.connect((events) => to({ type: "events", events }));
    },
    onLost: () => {
      send = undefined;
      introspection.lost();
      outbox.connect(undefined);
      outbox.record({ type: "feed-lost" });
    },
    onRefused: (version, why) => {
      outbox.record({ type: "feed-refused", why, details: { version } });
      console.error(`wardmq broker: a message of the feed was refused: ${why}`);
    },
  });
  start(broker, feed, storeNews, report).catch(stopped);
  setInterval(() => {
    if (send !== undefined) storeNews.tell(send);
  }, storedMs).unref();
  watchServerFiles(serverFiles, broker, certificate, outbox);
  const threads = new RuntimeThreads();
  setInterval(() => {
    broker.lookAtFreshness();
    threads.look();
  }, lookMs).unref();
  let isEnding = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    drain(broker, feed, outbox);
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  endWithSupervisor(end);
}

/** Takes up what was stored, then asks control for the world; serves with the last one known when control is away. */
async function start(
  broker: Broker,
  feed: FeedClient,
  storeNews: StoreNews,
  report: (line: string) => void,
): Promise<void> {
  const lines = await broker.readStore();
  storeNews.opened();
  feed.remember(lines);
  feed.open();
  setTimeout(() => {
    if (feed.restore(lines)) report("control is away: serving with the last feed that was kept");
  }, controlMs);
}

/** Whoever supervises us holds the other end of our standard input: when it closes, nobody would end us any more. */
function endWithSupervisor(end: () => void): void {
  const input = fstatSync(0);
  if (!input.isFIFO() && !input.isSocket()) return;
  process.stdin.on("end", end);
  process.stdin.on("error", end);
  process.stdin.resume();
}

async function listen(
  broker: Broker,
  certificate: ServerCertificateRenewal,
  outbox: EventOutbox,
): Promise<BrokerMessage> {
  await certificate.ready();
  const addresses = await broker.listen();
  const { mqtts = "", wss = "" } = addresses;
  outbox.record({ type: "broker-started", details: { ...addresses } });
  process.stdout.write(`ready ${JSON.stringify(addresses)}\n`);
  return { type: "ready", mqtts, wss };
}

/** What has to outlive the process, in DIR/broker/state. */
function openStore(directory: string, keys: KeyFile): SqliteJournalStore {
  const folder = join(directory, "broker", "state");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const currentKey = keys.ring.currentId;
  return new SqliteJournalStore({ folder, keys: keys.dataKeys, currentKey, store: keys.store });
}

/** The key ring that seals what the broker keeps on the disk; without it nothing starts. */
function openKeys(directory: string, providers: KeyProviders): KeyFile {
  try {
    return KeyFile.open(`${directory}/broker/keys.json`, "broker", providers);
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    return stop(2, `${error.message}; ${error.hint}`);
  }
}

function readFeedKeys(directory: string): FeedKeys {
  try {
    return new FeedKeys(`${directory}/broker/feed.pub`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return stop(2, `broker/feed.pub cannot be used (${code ?? message}): wardmq init makes it`);
  }
}

/** Takes a new certificate when its files change or SIGHUP asks; a bad one changes nothing. */
function watchServerFiles(
  files: ServerFiles,
  broker: Broker,
  certificate: ServerCertificateRenewal,
  outbox: EventOutbox,
): void {
  let stamp = files.stamp();
  const look = (isForced: boolean) => {
    const now = files.stamp();
    if (now === "" || (now === stamp && !isForced)) return;
    stamp = now;
    try {
      broker.reloadServerFiles();
      certificate.tell();
    } catch (error) {
      const why = error instanceof Error ? error.message : "unknown";
      outbox.record({ type: "settings-refused", why });
      console.error(`wardmq broker: ${why}; the former certificate stays`);
    }
  };
  setInterval(() => look(false), watchMs).unref();
  process.on("SIGHUP", () => look(true));
}

function drain(broker: Broker, feed: FeedClient, outbox: EventOutbox): void {
  outbox.record({ type: "broker-stopping" });
  broker.tellOfPolicy();
  broker.drain();
  outbox.flush();
  const deadline = Date.now() + drainMs;
  const wait = setInterval(() => {
    if (broker.openSockets > 0 && Date.now() < deadline) return;
    clearInterval(wait);
    outbox.close();
    feed.close();
    broker.close().finally(() => setTimeout(() => process.exit(0), 50));
  }, 20);
}

function stopped(error: unknown): never {
  const { code, message, port } = error as NodeJS.ErrnoException & { port?: number };
  if (error instanceof CredentialFault) return stop(2, message);
  if (error instanceof StoreError)
    return stop(
      1,
      `broker/state cannot be opened: ${message}; make room or mend its disk, and start again`,
    );
  if (code === "EADDRINUSE") {
    return stop(
      1,
      `port ${port} is taken: end what listens there, or choose another one with --mqtts or --wss`,
    );
  }
  if (code === "EACCES" || code === "EADDRNOTAVAIL") {
    return stop(
      1,
      `port ${port} cannot be opened (${code}): choose another one, or an address of this machine`,
    );
  }
  console.error(error);
  return stop(1, "the broker could not start");
}

function stop(code: number, why: string): never {
  process.stderr.write(`wardmq: ${why}\n`);
  process.exit(code);
}

main();
