import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { milliseconds, nothing, tokenSubject } from "./forms.ts";

const issuerName = z
  .string()
  .regex(/^[a-z0-9-]{1,16}$/, "names no issuer")
  .meta({ description: "the issuer's name in issuers.yaml", examples: ["hospital"] });
const claimText = z.string().min(1).max(255);

export const tokenCommands = {
  "token.explain": {
    summary: "say of every check of an access token whether it passes; the token is kept nowhere",
    role: "local",
    arguments: z.strictObject({
      token: z.string().max(65_536).meta({ description: "as the issuer gave it" }),
      api: z
        .boolean()
        .exactOptional()
        .meta({ description: "judge it as the API does, not as a broker" }),
      fingerprint: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .exactOptional()
        .meta({ description: "of the certificate it comes with: SHA-256 in lower-case hex" }),
    }),
    result: z.strictObject({
      checks: z.array(
        z.strictObject({
          check: z.string(),
          outcome: z.enum(["passed", "failed", "unknown"]),
          found: z.string(),
          expected: z.string(),
        }),
      ),
    }),
  },
  "token.revoke": {
    summary: "revoke tokens that were issued until now, and end the connections they hold",
    role: "operator",
    route: "POST /tokens/revoke",
    arguments: z.strictObject({
      subject: tokenSubject.exactOptional(),
      issuer: issuerName.exactOptional(),
      jti: claimText.exactOptional().meta({ description: "the id of one token; needs its issuer" }),
      sid: claimText
        .exactOptional()
        .meta({ description: "a session at the issuer; needs that issuer" }),
    }),
    result: z.strictObject({
      brokers: z
        .array(z.strictObject({ connectionsClosed: z.int(), milliseconds: z.number() }))
        .meta({ description: "one for each broker that was connected; empty when none runs" }),
      unconfirmed: z.int().exactOptional().meta({
        description:
          "brokers that were connected but did not confirm within a second; absent when all did",
      }),
    }),
  },
  bans: {
    summary:
      "list the addresses and certificates whose tokens are not judged for a time, and the names refused tokens bore",
    role: "viewer",
    route: "GET /bans",
    arguments: nothing,
    result: z.strictObject({
      bans: z.array(
        z.strictObject({
          of: z.string().meta({ examples: ["address 192.0.2.7"] }),
          failures: z.int(),
          until: milliseconds,
        }),
      ),
      brokers: z.int().meta({ description: "brokers whose bans are among these" }),
      unconfirmed: z.int().exactOptional().meta({
        description:
          "brokers that are connected and did not say what they have banned; absent when all did",
      }),
      claimed: z
        .array(
          z.strictObject({
            of: z.string().meta({ examples: ["subject person:hospital_4f1c"] }),
            failures: z.int(),
            at: milliseconds,
          }),
        )
        .meta({
          description:
            "refused tokens of the last hour by the subject and issuer they named; nobody is banned by that",
        }),
    }),
  },
  "bans.lift": {
    summary: "judge the tokens of a banned address or certificate again",
    role: "operator",
    route: "POST /bans/lift",
    arguments: z.strictObject({
      of: z
        .string()
        .regex(/^(address|certificate) [!-~]{1,128}$/)
        .meta({ description: "as `bans` shows it", examples: ["address 192.0.2.7"] }),
    }),
    result: z.strictObject({ of: z.string() }),
  },
} as const satisfies CommandTable;
