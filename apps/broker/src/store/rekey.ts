import type { Rekeyed } from "@wardmq/feed";
import type { KeyFile } from "@wardmq/keys";
import type { SqliteJournalStore } from "./sqlite-journal-store.ts";

/**
 * A new key seals from here on, everything is written anew, and only then the former keys are destroyed. Interrupted at
 * any point it leaves all keys that are needed, and the next one destroys those as well.
 */
export async function rekey(
  keys: KeyFile,
  store: SqliteJournalStore,
  rewrite: () => Promise<void>,
  now: () => number,
): Promise<Rekeyed> {
  const current = keys.rotate(now());
  const key = keys.dataKeys.find(({ id }) => id === current);
  if (key === undefined) throw new Error(`the key ${current} is not there`);
  await store.rotate(key);
  await rewrite();
  const former = keys.entries.filter(({ state }) => state === "reading").map(({ id }) => id);
  for (const id of former) {
    await store.forget(id);
    keys.destroy(id, now());
  }
  return { current, destroyed: former };
}
