import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compilePolicy, parsePolicy } from "@wardmq/policy";
import { parseIssuers, TokenClock } from "@wardmq/tokens";
import { BreakGlassUses, type StoredUse } from "../src/pending/break-glass-uses.ts";
import { BreakGlassWatch } from "../src/pending/break-glass-watch.ts";
import type { SealedRows } from "../src/pending/sealed-rows.ts";
import { refuseUngrantable, withTaken } from "../src/policy/break-glass-grants.ts";
import { eventually } from "./control-under-test.ts";

const start = Date.UTC(2026, 10, 27, 8, 0, 0);
const minute = 60_000;

/** Rows in memory: what seals them has tests of its own. */
function inMemory(): SealedRows<StoredUse> {
  const rows = new Map<string, StoredUse>();
  const get = (id: string) => {
    const value = rows.get(id);
    return value && { value, expiresAt: 0 };
  };
  const all = () => [...rows.values()];
  const put = (id: string, value: StoredUse) => void rows.set(id, value);
  return { get, all, put, deleteExpired: () => {} } as unknown as SealedRows<StoredUse>;
}

const use = (changes: Partial<StoredUse> = {}) => ({
  name: "on-call",
  person: "person:idp_ann",
  actor: "person:idp_ann",
  policyRole: "all-wards",
  reason: "the gateway is down",
  takenAt: start,
  until: start + 10 * minute,
  ...changes,
});

describe("what was taken", () => {
  test("counts until its end, to the millisecond, and never again", () => {
    const uses = new BreakGlassUses(inMemory());
    const { id } = uses.take(use());
    const stateAt = (at: number) => uses.get(id, at)?.state;
    assert.equal(stateAt(start + 10 * minute - 1), "active");
    assert.equal(stateAt(start + 10 * minute), "ended");
    assert.deepEqual(uses.active(start + 10 * minute), []);
  });

  test("is not lengthened by a clock that is set back", () => {
    const uses = new BreakGlassUses(inMemory());
    let [wall, monotonic] = [start, 0];
    const clock = new TokenClock(
      () => wall,
      () => monotonic,
    );
    clock.now();
    uses.take(use());
    monotonic += 9 * minute;
    wall -= 60 * minute;
    assert.equal(uses.active(clock.now()).length, 1);
    monotonic += minute;
    assert.equal(uses.active(clock.now()).length, 0);
  });

  test("comes first in the list while nobody has reviewed it", () => {
    const uses = new BreakGlassUses(inMemory());
    const first = uses.take(use());
    const second = uses.take(use({ takenAt: start + minute }));
    const now = start + 20 * minute;
    const seen = uses.get(second.id, now);
    if (seen !== undefined) uses.review(seen, "operator:bob", "as told", now);
    assert.deepEqual(
      uses.list(now).map(({ id, state }) => [id, state]),
      [
        [first.id, "ended"],
        [second.id, "reviewed"],
      ],
    );
  });

  function watching(uses: BreakGlassUses, at: { now: number }) {
    const events: string[] = [];
    const seen = { events, published: 0 };
    const watch = new BreakGlassWatch({
      uses,
      now: () => at.now,
      record: ({ type, subject }) => events.push(`${type} ${subject}`),
      publish: () => {
        seen.published += 1;
      },
    });
    return { watch, seen };
  }

  test("is said to have ended when it has, once, by whichever control runs then or later", async () => {
    const uses = new BreakGlassUses(inMemory());
    const at = { now: start };
    const { watch, seen } = watching(uses, at);
    uses.take(use());
    watch.changed();
    assert.equal(seen.published, 1);
    const away = uses.take(use({ person: "person:idp_bob", until: start + 20 * minute }));
    at.now += 10 * minute;
    await eventually(() => seen.published > 1);
    assert.deepEqual(seen.events, ["break-glass-ended person:idp_ann"]);
    assert.equal(seen.published, 2);
    watch.close();
    at.now += 60 * minute;
    const later = watching(uses, at);
    await eventually(() => later.seen.published > 0);
    assert.deepEqual(later.seen.events, ["break-glass-ended person:idp_bob"]);
    assert.equal(uses.get(away.id, at.now)?.endedAt, start + 20 * minute);
    later.watch.close();
    const last = watching(uses, at);
    last.watch.changed();
    assert.deepEqual([last.seen.events, uses.unended(at.now)], [[], []]);
    last.watch.close();
  });

  test("keeps the review of somebody who was quicker than the clock that tells of the end", async () => {
    const uses = new BreakGlassUses(inMemory());
    const at = { now: start };
    const { watch, seen } = watching(uses, at);
    const { id } = uses.take(use());
    watch.changed();
    at.now += 10 * minute;
    const ended = uses.get(id, at.now);
    if (ended !== undefined) uses.review(ended, "operator:bob", "as told", at.now);
    await eventually(() => seen.events.length > 0);
    assert.equal(uses.get(id, at.now)?.state, "reviewed");
    watch.close();
  });
});

describe("a role of the policy that was taken", () => {
  const policy = parsePolicy(`
topics: { schema: off }
roles:
  all-wards: { subscribe: ["hospital/#"] }
  strong: { subscribe: ["hospital/#"], requires: { amr: [mfa] } }
`);
  const taken = (policyRole: string) =>
    ({ ...use({ policyRole }), id: "0", state: "active" }) as const;
  const mayRead = (person: string, at: number) => {
    const compiled = compilePolicy(withTaken(policy, [taken("all-wards")]));
    const subject = {
      id: person,
      kind: "person",
      attributes: { org: "hospital", id: person.slice("person:".length) },
      roles: [],
    } as const;
    return compiled.rightsOf(subject, at).decideSubscribe("hospital/#").effect === "Permit";
  };

  test("is that person's alone, and until the end", () => {
    assert.equal(mayRead("person:idp_ann", start), true);
    assert.equal(mayRead("person:idp_bob", start), false);
    assert.equal(mayRead("person:idp_ann", start + 10 * minute), false);
  });

  test("is not there where the policy has no such role, or asks for a login itself", () => {
    for (const role of ["none", "strong"]) {
      assert.deepEqual(withTaken(policy, [taken(role)]), policy);
    }
  });

  test("can not be offered where the policy could not give it, and the refusal says where", () => {
    const row = (name: string, role: string) =>
      `        - { name: ${name}, ${role}, claim: groups, value: nurses }\n`;
    const text = (rows: string) =>
      `issuers:\n  idp:\n    issuer: https://idp.example\n    audience: wardmq\n    api:\n      audience: api\n      breakGlass:\n${rows}`;
    const refuse = (given: string) =>
      refuseUngrantable(policy, parseIssuers(given, { roles: ["operator"], commands: [] }), {
        file: "issuers.yaml",
        text: () => given,
      });
    const good = row("a", "policyRole: all-wards") + row("b", "apiRole: operator");
    refuse(text(good));
    const bad = row("c", "policyRole: none") + row("d", "policyRole: strong");
    assert.throws(() => refuse(text(good + bad)), {
      message: [
        "issuers.yaml:10:34: issuers.idp.api.breakGlass.2.policyRole: the policy has no role none",
        "issuers.yaml:11:34: issuers.idp.api.breakGlass.3.policyRole: the role strong of the policy has requires, so only claims give it",
      ].join("\n"),
    });
  });
});
