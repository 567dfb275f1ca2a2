import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { freshAnswer } from "../src/login/fresh-token.ts";

test("a kept token comes with the seconds that are left of it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "wardmq-kept-"));
  try {
    const kept = { accessToken: "kept", expiresAt: Date.now() + 80_000 };
    await writeFile(join(folder, "token.json"), JSON.stringify(kept), { mode: 0o600 });
    const { access_token, expires_in = 0 } = await freshAnswer(join(folder, "login.json"));
    assert.equal(access_token, "kept");
    assert.ok(expires_in > 40 && expires_in <= 80, String(expires_in));
  } finally {
    await rm(folder, { recursive: true });
  }
});
