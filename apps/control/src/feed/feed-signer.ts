import { existsSync } from "node:fs";
import type { LocalSigner } from "@wardmq/keys";
import { decodePems, sameBytes } from "@wardmq/x509";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";
import { openSigner } from "../keys.ts";

/** The key that signs the feed and what brokers are told by it; throws where it is not the one they know. */
export function openFeedSigner(): LocalSigner {
  const signer = openSigner(paths.feedKey);
  const hint = `restore it together with ${paths.feedPublicKey}`;
  if (signer.algorithm !== "Ed25519") {
    throw new Failure("ERR_KEY", `${paths.feedKey} is not an Ed25519 key`, { hint });
  }
  // A broker on this machine would refuse every message, and wait for ever for one it can believe.
  if (existsSync(paths.feedPublicKey) && !holdsKey(paths.feedPublicKey, signer.publicKey)) {
    throw new Failure("ERR_KEY", `${paths.feedKey} does not belong to ${paths.feedPublicKey}`, {
      hint,
    });
  }
  return signer;
}

function holdsKey(path: string, publicKey: Uint8Array): boolean {
  try {
    return decodePems("PUBLIC KEY", readText(path)).some((key) => sameBytes(key, publicKey));
  } catch {
    return false;
  }
}
