import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { ApprovalNeeded } from "../src/commands/approvals.ts";
import { execute } from "../src/commands/execute.ts";
import type { Surroundings } from "../src/commands/handler.ts";
import { Failure } from "../src/failure.ts";
import { openPending } from "../src/pending/pending.ts";
import { TestFolder } from "./control-under-test.ts";

const hourMs = 60 * 60 * 1000;
const wanted = { command: "foreign-ca.remove", arguments: { name: "acme" } } as const;

/** What commands act on, as far as an approval needs it: what was removed is counted, and operators can be revoked. */
function surroundings(folder: TestFolder) {
  const key = newDataKey();
  const ring = new KeyRing([key], key.id);
  const pending = openPending(join(folder.path, "pending.db"), { ring, store: "0".repeat(32) });
  const revoked = new Set<string>();
  const events: Omit<SecurityEvent, "at">[] = [];
  let removed = 0;
  const parts = {
    pending,
    registry: {
      subject: (id: string) => ({ state: revoked.has(id) ? "revoked" : "active" }),
      operators: () => [],
    },
    tokens: { revocations: { list: () => [] } },
    foreignCas: {
      remove: () => {
        removed += 1;
        return { removed: {}, change: {} };
      },
    },
    publisher: { publish: () => async () => ({ answers: [], unconfirmed: 0 }) },
    record: (event: Omit<SecurityEvent, "at">) => events.push(event),
  };
  return {
    on: parts as unknown as Surroundings,
    revoked,
    events,
    removed: () => removed,
    [Symbol.dispose]: () => pending.close(),
  };
}

const as = (name: string, at: number) =>
  ({ actor: `operator:${name}`, role: "security-officer", at }) as const;

/** Alice gives the command; the id of the approval that it waits for. */
async function requested(on: Surroundings, at: number): Promise<string> {
  try {
    await execute(on, wanted, as("alice", at));
  } catch (error) {
    if (error instanceof ApprovalNeeded) return error.approval.id;
    throw error;
  }
  throw new Error("it did not wait");
}

const approve = (on: Surroundings, id: string, name: string, at: number) =>
  execute(on, { command: "approvals.approve", arguments: { id } }, as(name, at));

const isRefused = (why: RegExp) => (error: unknown) =>
  error instanceof Failure && error.code === "ERR_APPROVAL_DECIDED" && why.test(error.message);

describe("the approval of a second person", () => {
  test("comes too late when a day is over, and in time until then", async () => {
    using folder = new TestFolder();
    using under = surroundings(folder);
    const { on, removed } = under;
    const [late, good] = [await requested(on, 0), await requested(on, 0)];
    const atEnd = 24 * hourMs;
    await assert.rejects(
      approve(on, late, "bob", atEnd),
      (error) => isRefused(/is expired/)(error) && /again/.test((error as Failure).hint ?? ""),
    );
    assert.equal(on.pending.approvals.get(late, atEnd)?.state, "expired");
    assert.equal(removed(), 0);
    await approve(on, good, "bob", atEnd - 1);
    assert.equal(removed(), 1);
  });

  test("does not count of somebody who is revoked, nor for somebody who is; of another it does", async () => {
    using folder = new TestFolder();
    using under = surroundings(folder);
    const { on, revoked, removed, events } = under;
    const id = await requested(on, 0);
    revoked.add("operator:bob");
    await assert.rejects(approve(on, id, "bob", 1), isRefused(/operator:bob, who decides/));
    revoked.add("operator:alice");
    await assert.rejects(approve(on, id, "carol", 1), isRefused(/operator:alice, who gave/));
    assert.equal(removed(), 0);
    assert.ok(!events.some(({ type }) => type === "approval-decided"));
    revoked.delete("operator:alice");
    await approve(on, id, "carol", 1);
    assert.equal(removed(), 1);
    await assert.rejects(
      approve(on, id, "dave", 2),
      (error) => isRefused(/is approved/)(error) && !/again/.test((error as Failure).hint ?? ""),
    );
    assert.equal(removed(), 1);
  });
});
