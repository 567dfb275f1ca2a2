import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { after, describe, test } from "node:test";
import type { Introspected, Issuer, TokenRevocation } from "@wardmq/tokens";
import {
  goodClaims,
  makeIssuer,
  mapping,
  now,
  sign,
} from "../../../packages/tokens/test/issuers.ts";
import { TokenJudge, type TokenQuestion } from "../src/tokens/token-judge.ts";
import { fail } from "./timers.ts";

const { issuer, privateKey } = await makeIssuer();
const good = await sign(privateKey);
const judges: TokenJudge[] = [];
/** What the issuer says of opaque tokens. */
const answers = new Map<string, Introspected>();
after(() => Promise.all(judges.map((judge) => judge.close())));

function judgeOf(
  issuers: readonly Issuer[] = [issuer],
  missing: string[] = [],
  asked: () => void = () => {},
): TokenJudge {
  const judge = new TokenJudge({
    now: () => {
      asked();
      return now;
    },
    failed: fail,
    keyMissing: (name) => missing.push(name),
    introspect: async (token) => answers.get(token),
  });
  judge.use({ org: "hospital", issuers, mapping });
  judges.push(judge);
  return judge;
}

const question = (
  token: string,
  network = "192.0.2.1",
  isRenewal = false,
  isSuspect = false,
): TokenQuestion => ({
  token,
  fingerprint: undefined,
  username: undefined,
  network,
  isRenewal,
  isSuspect,
});

const outcome = async (judged: ReturnType<TokenJudge["judge"]>) => {
  const verdict = await judged;
  return "check" in verdict ? verdict.check : verdict.subject;
};

describe("an opaque token", () => {
  const asked = { ...issuer, isAsked: true };
  const { jti: _, ...claims } = { ...goodClaims, active: true };
  answers.set("secret", { issuer: "idp", claims });
  answers.set("ended", { issuer: "idp", claims: { active: false } });

  test("is no token where nobody is to be asked about it", async () => {
    assert.equal(await outcome(judgeOf().judge(question("secret"))), "structure");
  });

  test("is refused when its issuer does not know it, or can not be asked, and others are judged meanwhile", async () => {
    const judge = judgeOf([asked]);
    assert.equal(await outcome(judge.judge(question("ended"))), "introspection");
    assert.equal(await outcome(judge.judge(question("unanswered"))), "issuer");
    assert.equal(await outcome(judge.judge(question(good))), "person:idp_ann");
  });

  test("of a network that floods a slow issuer waits for no place of the others", async () => {
    const judge = judgeOf([asked]);
    const flood = Array.from({ length: 40 }, () => outcome(judge.judge(question("away"))));
    const good = outcome(judge.judge(question("secret", "192.0.2.2")));
    const verdicts = await Promise.all(flood);
    assert.equal(verdicts.filter((verdict) => verdict === "busy").length, 32);
    assert.equal(await good, "person:idp_ann");
    assert.equal(await outcome(judge.judge(question("secret"))), "person:idp_ann");
  });

  test("gets in who its issuer says it is", async () => {
    assert.equal(await outcome(judgeOf([asked]).judge(question("secret"))), "person:idp_ann");
  });
});

describe("the thread that judges tokens", () => {
  test("refuses every token where nobody issues any, and before it has heard of anybody", async () => {
    assert.equal(await outcome(judgeOf([]).judge(question(good))), "iss");
    const deaf = new TokenJudge({
      now: () => now,
      failed: fail,
      keyMissing: fail,
      introspect: fail,
    });
    assert.equal(await outcome(deaf.judge(question(good))), "iss");
  });

  test("gives way to the one that serves MQTT", {
    skip: process.platform !== "linux",
  }, async () => {
    await judgeOf().judge(question(good));
    const threads = readdirSync("/proc/self/task").map((thread) => {
      const stat = readFileSync(`/proc/self/task/${thread}/stat`, "utf8");
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]); // nice, proc(5)
    });
    assert.ok(threads.includes(Math.min(19, getPriority() + 10)), `${threads}`);
  });

  test("lets a flood from one address wait for itself, and nobody else for it", async () => {
    const judge = judgeOf();
    const flood = Array.from({ length: 80 }, () => outcome(judge.judge(question("x.y.z"))));
    const other = outcome(judge.judge(question(good, "192.0.2.2")));
    const verdicts = await Promise.all(flood);
    assert.equal(verdicts.filter((verdict) => verdict === "busy").length, 16);
    assert.equal(verdicts.filter((verdict) => verdict === "structure").length, 64);
    assert.equal(await other, "person:idp_ann");
    assert.equal(await outcome(judge.judge(question(good))), "person:idp_ann");
  });

  test("keeps at most 1,024 tokens waiting, however many addresses they come from", async () => {
    const judge = judgeOf();
    const flood = Array.from({ length: 1_200 }, (_, i) =>
      outcome(judge.judge(question("x.y.z", `192.0.2.${i % 200}`))),
    );
    const verdicts = await Promise.all(flood);
    const inTurn = 10;
    assert.equal(verdicts.filter((verdict) => verdict === "busy").length, 176 - inTurn);
  });

  for (const { what, isRenewal, inTurn } of [
    { what: "ten tokens of CONNECTs", isRenewal: false, inTurn: 10 },
    { what: "two renewals", isRenewal: true, inTurn: 2 },
  ]) {
    test(`is told of ${what} in a turn, and of all in the end`, async () => {
      let asked = 0;
      const judge = judgeOf([issuer], [], () => {
        asked += 1;
      });
      const flood = Array.from({ length: 25 }, () =>
        outcome(judge.judge(question("x.y.z", "192.0.2.1", isRenewal))),
      );
      assert.equal(asked, inTurn);
      await Promise.all(flood);
      assert.equal(asked, 25);
    });
  }

  test("is told of bad renewals more slowly than of good ones", async () => {
    const two = [judgeOf(), judgeOf()] as const;
    await Promise.all(two.map((judge) => judge.judge(question(good)))); // their threads have begun
    const renewals = (judge: TokenJudge, token: string) => {
      const renewal = question(token, "192.0.2.1", true);
      const all = Array.from({ length: 40 }, () => judge.judge(renewal));
      return Promise.all(all).then(() => token);
    };
    const bad = renewals(two[0], "x.y.z");
    assert.equal(await Promise.race([bad, renewals(two[1], good)]), good);
    await bad;
  });

  for (const isRenewal of [false, true]) {
    const what = isRenewal ? "renewal" : "CONNECT";
    test(`hears of a ${what} before those from where tokens were refused, and refuses none for them`, async () => {
      const judge = judgeOf();
      let judged = 0;
      const flood = Array.from({ length: 1_100 }, (_, i) =>
        outcome(judge.judge(question("x.y.z", `192.0.2.${i % 200}`, isRenewal, true))).then(
          (verdict) => {
            if (verdict === "structure") judged += 1;
          },
        ),
      );
      const other = question(good, "198.51.100.1", isRenewal);
      assert.equal(await outcome(judge.judge(other)), "person:idp_ann");
      assert.ok(judged < 1_000, `${judged} went before it`);
      await judge.close();
      await Promise.all(flood);
    });
  }

  test("hears of a CONNECT before a flood of renewals, and refuses none for it", async () => {
    const judge = judgeOf();
    let renewed = 0;
    const flood = Array.from({ length: 1_100 }, (_, i) =>
      outcome(judge.judge(question("x.y.z", `192.0.2.${i % 200}`, true))).then((verdict) => {
        if (verdict === "structure") renewed += 1;
      }),
    );
    assert.equal(await outcome(judge.judge(question(good, "198.51.100.1"))), "person:idp_ann");
    assert.ok(renewed < 1_000, `${renewed} renewals went before it`);
    await judge.close();
    await Promise.all(flood.slice(1_050));
  });

  test("passes nothing on that is too long", async () => {
    assert.equal(await outcome(judgeOf().judge(question("x".repeat(8_193)))), "size");
  });

  test("heeds a revocation that comes while it works", async () => {
    const judge = judgeOf();
    const judged = outcome(judge.judge(question(good)));
    const revocation: TokenRevocation = { jti: "t-1", issuedUntil: now, until: now + 1 };
    judge.revoke([revocation]);
    assert.equal(await judged, "revoked");
    assert.equal(await outcome(judge.judge(question(good))), "revoked");
  });

  test("judges again by what has changed while it worked", async () => {
    const judge = judgeOf();
    const judged = outcome(judge.judge(question(good)));
    judge.use({ org: "hospital", issuers: [issuer], mapping: [] });
    assert.equal(await judged, "roles");
  });

  test("asks for a key that an issuer may have begun to use, and for none of others", async () => {
    const missing: string[] = [];
    const judge = judgeOf([issuer], missing);
    const other = await sign(privateKey, { iss: "https://other.example" }, { kid: "k9" });
    assert.equal(await outcome(judge.judge(question(other))), "iss");
    const elsewhere = await sign(privateKey, { aud: "wardmq.other" });
    assert.equal(await outcome(judge.judge(question(elsewhere))), "aud");
    assert.deepEqual(missing, []);
    assert.equal(
      await outcome(judge.judge(question(await sign(privateKey, {}, { kid: "k9" })))),
      "kid",
    );
    assert.deepEqual(missing, ["idp"]);
  });

  test("refuses who waits when it is ended, and starts again for the next", async () => {
    const judge = judgeOf();
    const judged = outcome(judge.judge(question(good)));
    await judge.close();
    assert.ok(["judge", "person:idp_ann"].includes(await judged));
    assert.equal(await outcome(judge.judge(question(good))), "person:idp_ann");
    judge.revoke([{ jti: "t-1", issuedUntil: now, until: now + 1 }]);
    await judge.close();
    assert.equal(await outcome(judge.judge(question(good))), "revoked");
  });
});
