import type { Rekeyed } from "@wardmq/feed";
import type { KeyFile } from "@wardmq/keys";

/** Something that is sealed under the data keys and can be sealed again under the current one while it is used. */
export interface Resealable {
  reseal(): Promise<void>;
}

/**
 * A new key seals from here on, everything is sealed again, and only then the former keys are destroyed. Interrupted at
 * any point it leaves all keys that are needed, and the next one destroys those as well.
 * INVARIANT: `sealed` is everything that the keys seal; what is missing there can not be opened afterwards.
 */
export async function rekey(
  keys: KeyFile,
  sealed: readonly Resealable[],
  at: number,
): Promise<Rekeyed> {
  const current = keys.rotate(at);
  for (const one of sealed) await one.reseal();
  const former = keys.entries.filter(({ state }) => state === "reading").map(({ id }) => id);
  for (const id of former) keys.destroy(id, at);
  return { current, destroyed: former };
}
