import { z } from "zod";
import type { CommandTable } from "./command.ts";
import { longText, nothing } from "./forms.ts";

const keyId = z.string().meta({ description: "the id of a data key", examples: ["1f0c9a3e"] });
const filePath = z.string().min(1).max(4096);
const createdAt = z.string().meta({ description: "ISO 8601: the data is as it was then" });

/** How a key comes from a passphrase, RFC 7914; packages/keys has the same. */
const scrypt = z.strictObject({
  salt: z.string().regex(/^[0-9a-f]{32}$/),
  N: z.int(),
  r: z.int(),
  p: z.int(),
});

export const stateCommands = {
  "state.rekey": {
    summary:
      "seal what control and the brokers keep under new keys while they serve, and destroy the former ones",
    role: "security-officer",
    route: "POST /state/rekey",
    arguments: nothing,
    result: z.strictObject({
      current: keyId,
      destroyed: z.array(keyId),
      brokers: z
        .array(z.strictObject({ current: keyId, destroyed: z.array(keyId) }))
        .meta({ description: "the brokers that have done so too" }),
      unconfirmed: z.int().meta({ description: "brokers of which it is not known" }),
    }),
  },
  /** Done by a process of its own beside a control that serves. */
  backup: {
    summary: "write a backup of everything, sealed to a recipient, while the deployment is served",
    role: "local",
    arguments: z.strictObject({
      out: filePath,
      /** PEM of an X25519 or P-256 public key. */
      recipient: longText,
      /** When the recipient's key comes from a passphrase: how. */
      scrypt: scrypt.optional(),
      withCaKey: z.boolean(),
    }),
    result: z.strictObject({
      createdAt,
      files: z.int(),
      bytes: z.int(),
      sha256: z.string(),
    }),
  },
  /** While nothing serves the deployment: every part of it holds keys in its memory. */
  "keys.change": {
    summary: "have another provider protect all keys of a deployment that is not being served",
    role: "local",
    arguments: z.strictObject({
      /** The provider of key-encryption keys from here on. */
      to: z.string().max(1000),
      /** The new passphrase, where that is the provider. */
      passphrase: z.string().max(1000).optional(),
    }),
    result: z.strictObject({
      from: z.string().meta({ description: "the former provider" }),
      to: z.string(),
      files: z.int().meta({ description: "how many files with keys it opens" }),
    }),
  },
  /** The event of a backup, recorded by whoever serves. */
  "backup.record": {
    summary: "record that a backup was made",
    role: "local",
    arguments: z.strictObject({
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .meta({ examples: ["0".repeat(64)] }),
      bytes: z.int(),
      withCaKey: z.boolean(),
    }),
    result: nothing,
  },
  restore: {
    summary: "put a backup into a new or empty folder",
    role: "local",
    arguments: z.strictObject({
      file: filePath,
      /** PEM of the private key that the backup opens with. */
      identity: longText,
      /** The provider of key-encryption keys on this host; file when absent. */
      keys: z.string().max(1000).optional(),
      /** A folder with the keys of the CAs, where the backup has none. */
      caKeys: filePath.optional(),
    }),
    result: z.strictObject({
      createdAt,
      ageMs: z.number(),
      deployment: z.strictObject({
        org: z.string(),
        environment: z.string(),
        trustDomain: z.string(),
      }),
      /** Whether the key of the issuing CA is there: nothing is served without it. */
      withCaKey: z.boolean(),
      files: z.int(),
      bytes: z.int(),
      milliseconds: z.number(),
    }),
  },
} as const satisfies CommandTable;
