import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { KeyFile, KeyProviders } from "@wardmq/keys";
import { keyIdOf } from "@wardmq/sealing";
import { Journal } from "../src/store/journal.ts";
import { rekey } from "../src/store/rekey.ts";
import { Found } from "../src/store/replay.ts";
import { Stored } from "../src/store/segment.ts";
import { SqliteJournalStore } from "../src/store/sqlite-journal-store.ts";

/** A session that is there for its place in the journal. */
class Item extends Stored {
  readonly #write: (item: Item) => void;

  constructor(write: (item: Item) => void) {
    super();
    this.#write = write;
  }

  override rewrite(): void {
    this.#write(this);
  }
}

test("a new key seals everything again while more is said, and the former one is destroyed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-rekey-"));
  try {
    const environment = { credentialsDirectory: undefined, passphrase: () => undefined };
    const provider = new KeyProviders(environment).create({ name: "file" }, folder);
    const keys = KeyFile.create(join(folder, "keys.json"), "broker", provider, Date.now());
    const former = keys.ring.currentId;
    const open = () =>
      new SqliteJournalStore({
        folder,
        keys: keys.dataKeys,
        currentKey: keys.ring.currentId,
        store: keys.store,
      });
    const store = open();
    const journal = journalOver(store);
    await journal.read(() => {});
    for (let i = 1; i <= 200; i += 1) session(journal, `client-${i}`);
    await committed(journal);
    const rewritten = rekey(keys, store, () => journal.rewriteAll(), Date.now);
    for (let i = 201; i <= 300; i += 1) {
      session(journal, `client-${i}`);
      await committed(journal);
    }
    const { current, destroyed } = await rewritten;
    assert.deepEqual(destroyed, [former]);
    await journal.close();

    const database = new DatabaseSync(join(folder, "journal.db"));
    const rows = ["journal", "meta"].flatMap((table) =>
      database.prepare(`SELECT sealed FROM ${table}`).all(),
    );
    assert.ok(rows.length > 1);
    for (const row of rows) {
      assert.equal(keyIdOf((row as { sealed: Uint8Array }).sealed), current);
    }
    database.close();
    const again = open();
    const found = new Found();
    const report = await journalOver(again).read((segment, stored) => found.read(segment, stored));
    assert.deepEqual([report.faults, report.rolledBack], [[], undefined]);
    assert.equal(found.sessions.size, 300);
    assert.deepEqual(found.damage, { segments: [], missing: [] });
    await again.close();
    assert.deepEqual(readdirSync(folder).sort(), [
      ".lock",
      "journal.anchor",
      "journal.db",
      "kek.key",
      "keys.json",
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function journalOver(store: SqliteJournalStore): Journal {
  return new Journal({
    store,
    schedule: setImmediate,
    later: (work, ms) => void setTimeout(work, ms),
    spareBytes: 1_000_000,
    limit: () => 1_000_000_000,
    onFailing: (error) => assert.fail(error),
    onRecovered: () => assert.fail(),
  });
}

function session(journal: Journal, clientId: string): void {
  const id = journal.nextId();
  const item = new Item((at) =>
    journal.session(at, {
      id,
      subject: "service:a",
      clientId,
      expirySeconds: 100,
      disconnectedAt: 0,
      subscriptions: [],
      received: [],
      will: undefined,
    }),
  );
  item.rewrite();
}

function committed(journal: Journal): Promise<void> {
  const { mark } = journal;
  return new Promise((resolve) => {
    const committed = () =>
      journal.committed >= mark ? resolve() : journal.whenCommitted({ committed });
    committed();
  });
}
