import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import { isRevoked, type TokenRevocation } from "@wardmq/tokens";
import { Control } from "../src/control.ts";
import { enterDeployment } from "../src/deployment.ts";
import { openSealedState } from "../src/sealed-state.ts";
import { TokenRevocations } from "../src/tokens/token-revocations.ts";
import { eventually, newDeployment } from "./control-under-test.ts";

/** Revocations whose clock and file are in the hands of the test. */
function underTest() {
  const state = { now: 1_000_000, kept: undefined as string | undefined };
  const open = () =>
    new TokenRevocations({
      now: () => state.now,
      file: {
        read: () => state.kept,
        write: (text) => {
          state.kept = text;
        },
      },
    });
  return { state, open, revocations: open() };
}

interface Meant {
  readonly jti?: string;
  readonly sid?: string;
  readonly issuedAt: number;
}

describe("revoked tokens", () => {
  const ann = { issuer: "idp", subject: "person:idp_ann" };
  const isMeant = (by: TokenRevocations, { jti, sid, issuedAt }: Meant) =>
    isRevoked({ ...ann, jti, sid, issuedAt }, by.list());

  test("of a subject are those of now, by a clock that is ahead as far as it may be", () => {
    const { revocations } = underTest();
    revocations.add({ subject: ann.subject });
    assert.ok(isMeant(revocations, { issuedAt: 1_005_000 }));
    assert.ok(!isMeant(revocations, { issuedAt: 1_005_001 }));
  });

  test("of a subject that its issuer has logged out are those of then, by the clock of the issuer", () => {
    const { revocations } = underTest();
    revocations.add({ subject: ann.subject }, 1_003_000);
    assert.ok(isMeant(revocations, { issuedAt: 1_003_000 }));
    assert.ok(!isMeant(revocations, { issuedAt: 1_004_000 }));
  });

  test("by their id or session are those of it, whenever the issuer's clock says they were made", () => {
    for (const by of [{ jti: "t-1" }, { sid: "s-1" }]) {
      const { revocations } = underTest();
      revocations.add({ issuer: "idp", ...by });
      assert.ok(isMeant(revocations, { ...by, issuedAt: 1_600_000 }));
      assert.ok(!isMeant(revocations, { jti: "t-2", sid: "s-2", issuedAt: 0 }));
    }
  });

  test("of a session with its subject are those, and until then the ones of no session", () => {
    const { revocations } = underTest();
    revocations.add({ ...ann, sid: "s-1" }, 1_000_000);
    assert.ok(isMeant(revocations, { sid: "s-1", issuedAt: 1_600_000 }));
    assert.ok(isMeant(revocations, { issuedAt: 1_000_000 }));
    assert.ok(!isMeant(revocations, { issuedAt: 1_001_000 }), "of a later login");
    assert.ok(!isMeant(revocations, { sid: "s-2", issuedAt: 0 }));
  });

  test("are kept until none can be meant any more", () => {
    const { state, open, revocations } = underTest();
    const hourMs = 60 * 60 * 1000;
    revocations.add({ subject: ann.subject });
    state.now += 24 * hourMs; // as long as a token may live by any setting
    assert.equal(open().list().length, 1);
    state.now += 2 * hourMs;
    assert.deepEqual(open().list(), []);
  });

  test("are kept once, however often they are revoked", () => {
    const { state, open } = underTest();
    for (let i = 0; i < 3; i += 1) {
      state.now += 1_000;
      const revocations = open();
      revocations.add({ subject: ann.subject });
      revocations.add({ issuer: "idp", subject: undefined, sid: "s-1" });
      revocations.add({ ...ann, sid: "s-1" }, state.now);
    }
    const all = open().list();
    assert.equal(all.length, 3);
    assert.equal(all.find(({ sid }) => sid === undefined)?.issuedUntil, 1_008_000);
    open().add({ subject: ann.subject }, 1_000_000);
    assert.equal(open().list().length, 4, "what reaches further stays");
  });
});

test("tokens are revoked as of now where the machine's clock was set back", async () => {
  using folder = await newDeployment();
  const former = process.cwd();
  enterDeployment(folder.deployment);
  const report = (line: string) => assert.fail(line);
  const start = Date.now();
  let wall = start;
  const control = await Control.open({ overrides: [], report, now: () => wall });
  try {
    wall -= 60_000;
    const revoke = { command: "token.revoke", arguments: { subject: "person:idp_ann" } };
    const answer = await control.answer(JSON.stringify(revoke), "test");
    assert.ok(answer.ok, JSON.stringify(answer));
    const isPublished = () => readdirSync("control/crl").some((name) => name.endsWith(".crl"));
    await eventually(() => existsSync("control/crl") && isPublished());
  } finally {
    control.close();
    const state = openSealedState({ now: Date.now, report });
    const text = state.files.tokenRevocations.read() ?? "[]";
    state.close();
    process.chdir(former);
    const [revocation] = JSON.parse(text) as TokenRevocation[];
    assert.ok(Number(revocation?.issuedUntil) >= start);
  }
});
