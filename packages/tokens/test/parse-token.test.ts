import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyToken } from "../src/index.ts";
import { assemble, goodClaims, goodHeader, makeIssuer, surroundings } from "./issuers.ts";

const { issuer } = await makeIssuer();

async function refusedBy(token: string): Promise<string> {
  const verified = await verifyToken(token, surroundings(issuer));
  return "check" in verified ? verified.check : "granted";
}

/** A token of parts as they are, in bytes. */
const ofBytes = (...parts: readonly Buffer[]) =>
  [...parts, Buffer.from("sig")].map((part) => part.toString("base64url")).join(".");

test("a part that is no UTF-8 is no part of a token", async () => {
  const [header, claims] = [goodHeader, goodClaims].map((one) => Buffer.from(JSON.stringify(one)));
  assert.ok(header && claims);
  assert.equal(await refusedBy(ofBytes(header, claims)), "signature");
  const broken = (part: Buffer) => {
    const bytes = Buffer.from(part);
    bytes[bytes.length - 3] = 0xff; // in the last text
    return bytes;
  };
  assert.equal(await refusedBy(ofBytes(broken(header), claims)), "structure");
  assert.equal(await refusedBy(ofBytes(header, broken(claims))), "structure");
});

test("a list is neither a header nor claims", async () => {
  assert.equal(await refusedBy(assemble([goodHeader], goodClaims)), "structure");
  assert.equal(await refusedBy(assemble(goodHeader, [goodClaims])), "structure");
});
