import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JournalStore } from "../../src/store/journal-store.ts";

/** A store and a way to open it again as another process would, after the former one was closed or has died. */
export interface StoreUnderTest {
  readonly open: () => JournalStore;
  /** The same, and it has no room for a segment of 1 MB. */
  readonly openSmall: () => JournalStore;
  readonly remove: () => void;
}

export function append(
  store: JournalStore,
  number: number,
  text: string,
  keepFrom = 1,
): Promise<number> {
  return new Promise((resolve, reject) =>
    store.append(number, Buffer.from(text), keepFrom, resolve, reject),
  );
}

export async function readAll(store: JournalStore) {
  const segments: (readonly [number, string | undefined])[] = [];
  const report = await store.read(({ number, bytes }) =>
    segments.push([number, bytes?.toString()]),
  );
  return { segments, ...report };
}

/** What the journal may rely on, of any store. */
export function journalStoreContract(name: string, make: () => StoreUnderTest): void {
  describe(`${name} as a store of the journal`, () => {
    const scenario = (behaviour: string, run: (made: StoreUnderTest) => Promise<void>) =>
      test(behaviour, async () => {
        const made = make();
        try {
          await run(made);
        } finally {
          made.remove();
        }
      });

    scenario("has nothing at first", async ({ open }) => {
      const store = open();
      const { segments, faults, rolledBack } = await readAll(store);
      assert.deepEqual([segments, faults, rolledBack], [[], [], undefined]);
      await store.close();
    });

    scenario(
      "gives back what was kept, by rising numbers, after it was closed",
      async ({ open }) => {
        const store = open();
        await readAll(store);
        for (const number of [1, 2, 10]) {
          assert.ok((await append(store, number, `segment ${number}`)) > 0);
        }
        await store.close();
        const again = open();
        const { segments, faults } = await readAll(again);
        assert.deepEqual(segments, [
          [1, "segment 1"],
          [2, "segment 2"],
          [10, "segment 10"],
        ]);
        assert.deepEqual(faults, []);
        await again.close();
      },
    );

    scenario(
      "gives up what is before the number that is kept from, and nothing else",
      async ({ open }) => {
        const store = open();
        await readAll(store);
        for (const number of [1, 2, 3]) await append(store, number, `${number}`);
        await append(store, 4, "4", 3);
        await store.close();
        const again = open();
        assert.deepEqual((await readAll(again)).segments, [
          [3, "3"],
          [4, "4"],
        ]);
        await again.close();
      },
    );

    scenario("says of each when it is kept, in their order", async ({ open }) => {
      const store = open();
      await readAll(store);
      const said: number[] = [];
      const numbers = [1, 2, 3, 4, 5];
      await Promise.all(
        numbers.map((number) => append(store, number, "x").then(() => said.push(number))),
      );
      assert.deepEqual(said, numbers);
      await store.close();
    });

    scenario("keeps nothing before what it has refused", async ({ open, openSmall }) => {
      const small = openSmall();
      await readAll(small);
      const answers = ["1", "x".repeat(1_000_000), "3", "4"].map((text, i) =>
        append(small, i + 1, text),
      );
      assert.deepEqual(
        (await Promise.allSettled(answers)).map(({ status }) => status),
        ["fulfilled", "rejected", "rejected", "rejected"],
      );
      for (const number of [2, 3]) await append(small, number, `${number}`);
      await small.close();
      const store = open();
      assert.deepEqual((await readAll(store)).segments, [
        [1, "1"],
        [2, "2"],
        [3, "3"],
      ]);
      await store.close();
    });

    scenario("takes a large segment and an empty one", async ({ open }) => {
      const store = open();
      await readAll(store);
      const large = "x".repeat(3_000_000);
      await append(store, 1, large);
      await append(store, 2, "");
      await store.close();
      const again = open();
      assert.deepEqual((await readAll(again)).segments, [
        [1, large],
        [2, ""],
      ]);
      await again.close();
    });

    scenario("says how far it has read", async ({ open }) => {
      const store = open();
      await readAll(store);
      for (const number of [1, 2, 3, 4]) await append(store, number, "x".repeat(100));
      await store.close();
      const again = open();
      const shares: number[] = [];
      await again.read((_, progress) => shares.push(progress));
      assert.deepEqual(shares, [0.25, 0.5, 0.75, 1]);
      await again.close();
    });
  });
}
