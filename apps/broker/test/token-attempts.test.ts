import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Packet } from "@wardmq/mqtt";
import type { Grant } from "@wardmq/tokens";
import { keysOf } from "../src/connection/token.ts";
import type { Refused } from "../src/tokens/token-judge.ts";
import { BrokerParts, type Link } from "./broker-parts.ts";

const start = 1_700_000_000_000;
const method = { authenticationMethod: "OAUTH2-JWT" };
const here = keysOf({ address: "192.0.2.1", fingerprint: undefined });
const said = { issuer: "idp", claimed: "person:idp_ann" };
const good: Grant = {
  subject: "person:idp_ann",
  kind: "person",
  attributes: { org: "hospital", id: "idp_ann" },
  roles: [],
  actions: ["publish", "subscribe"],
  issuer: "idp",
  jti: "t-1",
  sid: undefined,
  issuedAt: start,
  expiresAt: start + 3_600_000,
};

function broker(bad: Partial<Refused> = {}): BrokerParts {
  const parts = new BrokerParts();
  parts.tokens.set("good", good);
  parts.tokens.set("bad", { check: "signature", why: "not by that key", ...bad });
  return parts;
}

/** Comes with a token; a refusal is waited for. */
async function come(parts: BrokerParts, token: string): Promise<Link> {
  const link = parts.stranger();
  link.connect({ password: Buffer.from(token), keepAlive: 3_600, properties: method });
  await parts.judge();
  if (token !== "good") parts.advance(5_000);
  return link;
}

/** Brings a further token; gives the Reason Code of the answer. */
async function renew(parts: BrokerParts, link: Link, token: string): Promise<number | undefined> {
  const properties = { ...method, authenticationData: Buffer.from(token) };
  link.take();
  link.send({ type: "AUTH", reasonCode: 0x19, properties } satisfies Packet);
  await parts.judge();
  parts.advance(5_000);
  const [answer] = link.take();
  return answer?.type === "AUTH" ? answer.reasonCode : undefined;
}

describe("a refusal counts nothing against anybody", () => {
  for (const check of ["busy", "judge", "issuer"]) {
    test(`that says ${check}`, async () => {
      const parts = broker({ check });
      for (let i = 0; i < 50; i += 1) await come(parts, "bad");
      assert.equal(parts.context.tokens.attempts.hasFailed(here), false);
      assert.equal(parts.events.filter(({ type }) => type === "connect-refused").length, 50);
    });
  }

  test("while there is a ban", async () => {
    const parts = broker();
    parts.context.tokens.later = (tell) => tell();
    const { attempts } = parts.context.tokens;
    for (let i = 0; i < 50; i += 1) attempts.failed(here);
    for (let i = 0; i < 5; i += 1) {
      const link = parts.stranger();
      link.connect({ password: Buffer.from("good") });
      await parts.judge();
    }
    assert.equal(parts.events.at(-1)?.check, "token-banned");
    assert.equal(attempts.bans()[0]?.failures, 50);
  });
});

describe("a bad renewal", () => {
  test("is counted as a bad CONNECT is, and where there is a ban a good one is refused", async () => {
    const parts = broker();
    const link = await come(parts, "good");
    const { attempts } = parts.context.tokens;
    for (let i = 0; i < 49; i += 1) assert.equal(await renew(parts, link, "bad"), 0x18);
    assert.equal(await renew(parts, link, "good"), 0); // halves them, as a good CONNECT does
    for (let i = 24; i < 50; i += 1) {
      assert.equal(attempts.banOf(here), undefined);
      await renew(parts, link, "bad");
    }
    assert.notEqual(attempts.banOf(here), undefined);
    assert.equal(await renew(parts, link, "good"), 0x18);
    assert.equal(parts.events.at(-1)?.check, "token-banned");
    assert.ok(!link.isClosed, "the former token counts to its end");
  });
});

test("a good CONNECT halves what is counted against its address", async () => {
  const parts = broker();
  const { attempts } = parts.context.tokens;
  await come(parts, "bad");
  assert.equal(attempts.hasFailed(here), true);
  await come(parts, "good");
  assert.equal(attempts.hasFailed(here), false);
});

test("the event of a refusal says whose the token said it was", async () => {
  const parts = broker(said);
  await come(parts, "bad");
  const link = await come(parts, "good");
  await renew(parts, link, "bad");
  for (const type of ["connect-refused", "token-renewal-refused"]) {
    const event = parts.events.find((one) => one.type === type);
    assert.deepEqual(event?.details, said, type);
  }
});
