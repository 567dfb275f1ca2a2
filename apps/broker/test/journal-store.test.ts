import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { newDataKey } from "@wardmq/sealing";
import { MemoryJournalStore } from "../src/store/memory-journal-store.ts";
import { SqliteJournalStore, StoreError } from "../src/store/sqlite-journal-store.ts";
import { append, journalStoreContract, readAll } from "./contract/journal-store.contract.ts";

class SmallStore extends MemoryJournalStore {
  largest = 0;

  override append(...args: Parameters<MemoryJournalStore["append"]>): void {
    this.fault = args[1].length > this.largest ? new Error("there is no room") : undefined;
    super.append(...args);
  }
}

/** A folder with a store and the key that opens it. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "wardmq-store-"));
  readonly key = newDataKey();
  readonly database = join(this.path, "journal.db");

  readonly open = (maximumPages?: number) =>
    new SqliteJournalStore({
      folder: this.path,
      keys: [this.key],
      currentKey: this.key.id,
      store: "store",
      ...(maximumPages === undefined ? {} : { maximumPages }),
    });

  readonly openSmall = () => this.open(64);

  /** A store with these segments, closed again. */
  async fill(from: number, to: number, bytes = 10): Promise<void> {
    const store = this.open();
    await readAll(store);
    for (let number = from; number <= to; number += 1) {
      await append(store, number, `${number}`.padEnd(bytes, "."));
    }
    await store.close();
  }

  async readAll() {
    const store = this.open();
    try {
      return await readAll(store);
    } finally {
      await store.close();
    }
  }

  change(sql: string): void {
    const database = new DatabaseSync(this.database);
    database.exec(sql);
    database.close();
  }

  readonly remove = () => rmSync(this.path, { recursive: true, force: true });
}

journalStoreContract("MemoryJournalStore", () => {
  const store = new SmallStore();
  const openWith = (largest: number) => {
    store.largest = largest;
    return store;
  };
  return {
    open: () => openWith(Number.POSITIVE_INFINITY),
    openSmall: () => openWith(100_000),
    remove() {},
  };
});

journalStoreContract("SqliteJournalStore", () => new Folder());

const within = (behaviour: string, run: (folder: Folder) => Promise<void>) =>
  test(behaviour, async () => {
    const folder = new Folder();
    try {
      await run(folder);
    } finally {
      folder.remove();
    }
  });

describe("a damaged store", () => {
  within("does not open a segment that was changed, and hands over the others", async (folder) => {
    await folder.fill(1, 4);
    folder.change(
      "UPDATE journal SET sealed = CAST(substr(sealed, 1, 60) || x'00' || substr(sealed, 62) AS BLOB) WHERE number = 2",
    );
    const { segments } = await folder.readAll();
    assert.deepEqual(
      segments.map(([number, text]) => [number, text?.slice(0, 1)]),
      [
        [1, "1"],
        [2, undefined],
        [3, "3"],
        [4, "4"],
      ],
    );
    assert.equal((await folder.readAll()).segments.length, 3, "it is put aside");
  });

  within("does not open a segment in the place of another one", async (folder) => {
    await folder.fill(1, 3);
    folder.change("UPDATE journal SET sealed = (SELECT sealed FROM journal WHERE number = 1)");
    const { segments } = await folder.readAll();
    assert.deepEqual(segments, [
      [1, segments[0]?.[1]],
      [2, undefined],
      [3, undefined],
    ]);
  });

  within("opens nothing under another key", async (folder) => {
    await folder.fill(1, 2);
    Object.assign(folder.key, newDataKey());
    const { segments, faults } = await folder.readAll();
    assert.deepEqual(
      segments.map(([, text]) => text),
      [undefined, undefined],
    );
    assert.match(faults.join(), /journal.anchor does not open/);
  });

  within("is put aside, and what can be read of it goes on", async (folder) => {
    await folder.fill(1, 400, 20_000);
    const { size } = statSync(folder.database);
    const file = openSync(folder.database, "r+");
    for (let at = size / 3; at < size / 2; at += 8_192) {
      writeSync(file, Buffer.alloc(4_096, 0xaa), 0, 4_096, Math.floor(at / 8_192) * 8_192);
    }
    const { segments, faults } = await folder.readAll();
    const whole = segments.filter(([, text]) => text !== undefined);
    assert.ok(whole.length > 100 && whole.length < 400, `${whole.length} are whole`);
    for (const [number, text] of whole) assert.ok(text?.startsWith(`${number}.`));
    if (faults.length > 0) {
      assert.match(faults.join(), /damaged/);
      const [aside] = readdirSync(folder.path).filter((name) => name.startsWith("damaged-"));
      assert.ok(statSync(join(folder.path, aside ?? "", "journal.db")).size > 0);
    }
    await folder.fill(401, 402); // it goes on
  });

  within("begins anew where nothing can be read, and says so", async (folder) => {
    await folder.fill(1, 3);
    const file = openSync(folder.database, "r+");
    writeSync(file, Buffer.alloc(statSync(folder.database).size, 0xaa));
    const { segments, faults, rolledBack } = await folder.readAll();
    assert.deepEqual(segments, []);
    assert.match(faults.join(), /journal.db was damaged/);
    assert.deepEqual(rolledBack, { was: 3, is: 0 });
  });
});

describe("an older copy of a store", () => {
  within("is noticed", async (folder) => {
    await folder.fill(1, 3);
    copyFileSync(folder.database, `${folder.database}.older`);
    await folder.fill(4, 6);
    copyFileSync(`${folder.database}.older`, folder.database);
    const { segments, rolledBack } = await folder.readAll();
    assert.equal(segments.length, 3);
    assert.deepEqual(rolledBack, { was: 6, is: 3 });
  });

  within(
    "is not told from one that is whole where everything beside it is as old",
    async (folder) => {
      await folder.fill(1, 3);
      const copy = mkdtempSync(join(tmpdir(), "wardmq-older-"));
      cpSync(folder.path, copy, { recursive: true });
      await folder.fill(4, 6);
      cpSync(copy, folder.path, { recursive: true });
      rmSync(copy, { recursive: true });
      assert.equal((await folder.readAll()).rolledBack, undefined);
    },
  );

  within("is not seen in a store that ended before it was tidied", async (folder) => {
    const store = folder.open();
    await readAll(store);
    await append(store, 1, "one");
    const copy = new Folder();
    cpSync(folder.path, copy.path, { recursive: true });
    Object.assign(copy.key, folder.key);
    assert.deepEqual((await copy.readAll()).faults, []);
    copy.remove();
    await store.close();
  });

  within("is noticed when the database is missing", async (folder) => {
    await folder.fill(1, 3);
    rmSync(folder.database);
    assert.deepEqual((await folder.readAll()).rolledBack, { was: 3, is: 0 });
  });
});

describe("a full disk", () => {
  within(
    "refuses what does not fit, keeps what it has, and takes more when there is room",
    async (folder) => {
      await folder.fill(1, 3);
      const store = folder.open(20);
      await readAll(store);
      await assert.rejects(append(store, 4, "x".repeat(500_000)), StoreError);
      await assert.rejects(append(store, 4, "x".repeat(500_000)), /full/);
      await append(store, 4, "small");
      await store.close();
      await folder.fill(5, 5, 500_000);
      assert.deepEqual(
        (await folder.readAll()).segments.map(([number]) => number),
        [1, 2, 3, 4, 5],
      );
    },
  );

  within("gives space back that nothing is in, also when nothing more is said", async (folder) => {
    const store = folder.open();
    await readAll(store);
    for (let number = 1; number <= 40; number += 1)
      await append(store, number, "x".repeat(1_000_000));
    await append(store, 41, "x", 41);
    const size = () => statSync(folder.database).size;
    for (let waited = 0; size() > 25_000_000 && waited < 600; waited += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(size() < 25_000_000, `${size()} bytes`);
    await store.close();
  });
});

describe("a store that a process uses", () => {
  within("is not opened by another one, and is when that has ended", async (folder) => {
    const store = folder.open();
    await readAll(store);
    await append(store, 1, "one");
    const other = folder.open();
    await assert.rejects(readAll(other), /another broker uses it/);
    await other.close();
    await append(store, 2, "two");
    await store.close();
    assert.equal((await folder.readAll()).segments.length, 2);
  });

  within(
    "blames no other one where its lock can not be taken for another reason",
    async (folder) => {
      writeFileSync(join(folder.path, ".lock"), "x".repeat(9_000));
      const store = folder.open();
      await assert.rejects(readAll(store), /not a database/);
      await store.close();
    },
  );
});

describe("on disk", () => {
  within("is nothing in the clear", async (folder) => {
    await folder.fill(1, 20);
    const store = folder.open();
    await readAll(store);
    await append(store, 21, "the canary sings ".repeat(100));
    for (const name of readdirSync(folder.path)) {
      const path = join(folder.path, name);
      assert.equal(readFileSync(path).includes("canary"), false, name);
      assert.equal(statSync(path).mode & 0o077, 0, `${name} is nobody else's`);
    }
    await store.close();
  });
});
