import type { UnwrappedKeyFile } from "@wardmq/keys";
import { z } from "zod";

/** Files of a deployment and nothing else: below these folders, no way out of them. */
const path = z
  .string()
  .max(500)
  .regex(/^((control|broker)\/)?([A-Za-z0-9_][A-Za-z0-9_.-]*\/)*[A-Za-z0-9_][A-Za-z0-9_.-]*$/);

const keyEntry = z.union([
  z.strictObject({
    id: z.string(),
    state: z.enum(["current", "reading"]),
    created: z.string(),
    key: z.string(),
  }),
  z.strictObject({
    id: z.string(),
    state: z.literal("destroyed"),
    created: z.string(),
    destroyed: z.string(),
  }),
]);

/** What is in a backup: first thing in the sealed stream, before the files in this order. */
export const manifest = z.strictObject({
  version: z.literal(1),
  /** ISO 8601: when reading began. What was acknowledged before is in it. */
  createdAt: z.iso.datetime(),
  deployment: z.strictObject({
    org: z.string(),
    environment: z.string(),
    trustDomain: z.string(),
  }),
  withCaKey: z.boolean(),
  files: z.array(
    z.strictObject({
      path,
      bytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
  /** Data keys, without a wrapping: the restored host wraps them anew. */
  keyFiles: z.array(
    z.strictObject({
      path,
      content: z.strictObject({ purpose: z.string(), store: z.string(), keys: z.array(keyEntry) }),
    }),
  ),
  /** Private keys, PKCS#8 in DER, base64. */
  privateKeys: z.array(z.strictObject({ path, pkcs8: z.string() })),
});

export type Manifest = Omit<z.infer<typeof manifest>, "keyFiles"> & {
  readonly keyFiles: readonly { readonly path: string; readonly content: UnwrappedKeyFile }[];
};
