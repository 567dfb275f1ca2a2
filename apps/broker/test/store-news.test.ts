import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BrokerMessage } from "@wardmq/feed";
import { StoreNews } from "../src/feed/store-news.ts";

const incarnation = "0".repeat(32);

describe("what control hears of the store", () => {
  test("is first where it stood when it was opened, then where it stands, and nothing twice", () => {
    let number = 3;
    let isThere = false;
    const said: BrokerMessage[] = [];
    const send = (message: BrokerMessage) => isThere && said.push(message) > 0;
    const news = new StoreNews(() => ({ incarnation, number }));
    news.opened();
    number = 9; // control is away, the broker serves
    news.tell(send);
    isThere = true;
    for (const next of [9, 9, 12]) {
      news.tell(send);
      number = next;
    }
    news.tell(send);
    assert.deepEqual(
      said,
      [3, 9, 12].map((at) => ({ type: "stored", incarnation, number: at })),
    );
  });

  test("is nothing while the store is not open", () => {
    const news = new StoreNews(() => undefined);
    news.opened();
    news.tell(() => assert.fail());
  });
});
