import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { TokenRevocation } from "@wardmq/tokens";
import { Control } from "../src/control.ts";
import { enterDeployment } from "../src/deployment.ts";
import { openSealedState } from "../src/sealed-state.ts";
import { eventually, newDeployment } from "./control-under-test.ts";

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
    await eventually(() => readdirSync("control/crl").some((name) => name.endsWith(".crl")));
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
