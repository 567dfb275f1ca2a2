import { generateKeyPairSync } from "node:crypto";
import { existsSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { keySigner, replaceFile, syncFolder } from "@wardmq/keys";
import { decodePems, encodePem } from "@wardmq/x509";
import { paths } from "../deployment.ts";
import { readText } from "../files.ts";
import { openSigner, writeKeyLike } from "../keys.ts";
import type { Rotation } from "./rotations.ts";

/** Public keys, PEM. */
export interface FeedKeyDetail {
  readonly former: string;
  readonly next: string;
}

export const feedKeyRotation: Rotation<FeedKeyDetail> = {
  meaning: {
    idle: "one key signs the feed",
    staged: "brokers believe the new key too; the former one still signs",
    used: "the new key signs; brokers still believe the former one",
  },

  async stage() {
    rmSync(paths.nextFeedKey, { force: true }); // of a stage that was cut off
    const { privateKey } = generateKeyPairSync("ed25519");
    writeKeyLike(paths.feedKey, paths.nextFeedKey, privateKey);
    return {
      former: encodePem("PUBLIC KEY", openSigner(paths.feedKey).publicKey),
      next: encodePem("PUBLIC KEY", keySigner(privateKey).publicKey),
    };
  },

  settle({ former }, step) {
    if (step === "undone") rmSync(paths.nextFeedKey, { force: true });
    if (step !== "retired" || !existsSync(paths.nextFeedKey)) return;
    const formerKeys = [...new Set([...formerFeedKeys(), former])];
    replaceFile(paths.formerFeedKeys, formerKeys.join(""), 0o600);
    renameSync(paths.nextFeedKey, paths.feedKey);
    syncFolder(dirname(paths.feedKey));
  },

  waitsFor({ next }) {
    // A broker writes down whom it believes; the one of this machine can be asked.
    if (!existsSync(paths.feedPublicKey) || feedPublicKeys().some((pem) => pem === next))
      return undefined;
    return "the broker has not heard of the new key yet";
  },
};

/** The keys that have signed before the one that signs now, PEM. */
export function formerFeedKeys(): readonly string[] {
  return existsSync(paths.formerFeedKeys) ? publicKeysOf(paths.formerFeedKeys) : [];
}

/** The keys that the broker of this machine believes, PEM. */
export function feedPublicKeys(): readonly string[] {
  return publicKeysOf(paths.feedPublicKey);
}

function publicKeysOf(path: string): readonly string[] {
  return decodePems("PUBLIC KEY", readText(path)).map((der) => encodePem("PUBLIC KEY", der));
}
