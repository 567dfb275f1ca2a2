import { existsSync } from "node:fs";
import { encodePem } from "@wardmq/x509";
import { type FeedKeyDetail, feedPublicKeys, formerFeedKeys } from "../ca/feed-key-rotation.ts";
import { rotationDetail } from "../ca/rotations.ts";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import type { StateFile } from "../files.ts";
import { openLocalSigner } from "../keys.ts";
import type { FeedKeys } from "../reload.ts";

/** Opens the key that signs now, and names the keys that brokers are to believe while it is replaced; `steps` of the rotations. */
export function openFeedKeys(steps: StateFile): FeedKeys {
  const rotation = rotationDetail<FeedKeyDetail>("feed-key", steps);
  const isUsed = rotation?.step === "used";
  const path = isUsed ? paths.nextFeedKey : paths.feedKey;
  const signer = openLocalSigner(path);
  const hint = `restore it together with ${paths.feedPublicKey}`;
  if (signer.algorithm !== "Ed25519") {
    throw new Failure("ERR_KEY", `${path} is not an Ed25519 key`, { hint });
  }
  const own = encodePem("PUBLIC KEY", signer.publicKey);
  // A broker on this machine would refuse every message, and wait for ever for one it can believe.
  if (existsSync(paths.feedPublicKey) && !feedPublicKeys().includes(own)) {
    throw new Failure("ERR_KEY", `${path} does not belong to ${paths.feedPublicKey}`, { hint });
  }
  if (rotation === undefined) return { signer, keys: [own], former: formerFeedKeys() };
  const { former, next } = rotation.detail;
  const keys = isUsed ? [next, former] : [former, next];
  return { signer, keys, former: [...formerFeedKeys(), former, next] };
}
