import assert from "node:assert/strict";
import { test } from "node:test";
import { breakGlassHandlers } from "../src/commands/break-glass.ts";
import type { Caller, Surroundings } from "../src/commands/handler.ts";
import { Failure } from "../src/failure.ts";
import { BreakGlassUses, type StoredUse } from "../src/pending/break-glass-uses.ts";
import type { SealedRows } from "../src/pending/sealed-rows.ts";

const start = Date.UTC(2026, 10, 27, 8, 0, 0);

/** What happens when somebody reviews what another has taken: the state, or the code of the refusal. */
function reviewed(takenBy: string, by: string): string {
  const rows = new Map<string, StoredUse>();
  const breakGlass = new BreakGlassUses({
    get: (id: string) => ({ value: rows.get(id) }),
    put: (id: string, value: StoredUse) => rows.set(id, value),
    deleteExpired: () => {},
  } as unknown as SealedRows<StoredUse>);
  const { id } = breakGlass.take({
    name: "on-call",
    person: takenBy,
    actor: takenBy,
    apiRole: "operator",
    reason: "the gateway is down",
    takenAt: start,
    until: start + 60_000,
  });
  const operators = [
    { id: "operator:ann", attributes: { person: "idp_ann" } },
    { id: "operator:bob", attributes: { person: "idp_bob" } },
    { id: "operator:carol", attributes: {} },
  ];
  const on = {
    registry: { operators: () => operators },
    pending: { breakGlass },
    tokens: { now: () => start + 60_000 },
    record: () => {},
  } as unknown as Surroundings;
  const caller = { actor: by, role: "security-officer" } as Caller;
  try {
    breakGlassHandlers["break-glass.review"](on, { id, finding: "as told" }, caller);
    return breakGlass.get(id, start + 60_000)?.state ?? "";
  } catch (error) {
    assert.ok(error instanceof Failure);
    return error.code;
  }
}

test("whoever took a role never reviews it, by whichever name", () => {
  const refused = "ERR_APPROVAL_SAME_PERSON";
  for (const [takenBy, by, outcome] of [
    ["person:idp_ann", "person:idp_ann", refused],
    ["person:idp_ann", "operator:ann", refused],
    ["operator:ann", "person:idp_ann", refused],
    ["person:idp_dan", "operator:carol", refused], // nobody has said who she is
    ["person:idp_ann", "app:idp_reports", refused],
    ["person:idp_ann", "person:idp_bob", "reviewed"],
    ["person:idp_ann", "operator:bob", "reviewed"],
    ["operator:ann", "operator:carol", "reviewed"],
  ] as const) {
    assert.equal(reviewed(takenBy, by), outcome, `${takenBy} by ${by}`);
  }
});
