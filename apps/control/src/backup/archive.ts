import { createPublicKey, type KeyObject } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import type { ScryptParameters } from "@wardmq/keys";
import {
  keyForRecipient,
  keyOfRecipient,
  SealError,
  StreamOpener,
  StreamSealer,
  sealedChunkLength,
  streamChunkLength,
} from "@wardmq/sealing";
import { Failure } from "../failure.ts";

/** The first line of a backup, in the clear and bound to everything behind it. */
export interface ArchiveHead {
  readonly format: "wardmq backup";
  readonly version: 1;
  /** SubjectPublicKeyInfo, DER in base64: whom it is sealed to, and the key made for this one backup. */
  readonly recipient: string;
  readonly ephemeral: string;
  /** How the recipient's key comes from a passphrase, when it does. */
  readonly scrypt?: ScryptParameters;
}

const longestHead = 4096;

/** Writes one archive, sealed chunk by chunk. It is whole only after `end`. */
export class ArchiveWriter {
  readonly #file: number;
  readonly #sealer: StreamSealer;
  #waiting = Buffer.alloc(0);

  /** `path` must not exist. */
  constructor(path: string, recipient: KeyObject, scrypt?: ScryptParameters) {
    const { key, ephemeral } = keyForRecipient(recipient);
    const head: ArchiveHead = {
      format: "wardmq backup",
      version: 1,
      recipient: spkiText(recipient),
      ephemeral: ephemeral.toString("base64"),
      ...(scrypt === undefined ? {} : { scrypt }),
    };
    const line = Buffer.from(`${JSON.stringify(head)}\n`);
    this.#sealer = new StreamSealer(key, line);
    this.#file = openSync(path, "wx", 0o600);
    writeSync(this.#file, line);
  }

  write(bytes: Uint8Array): void {
    this.#waiting = Buffer.concat([this.#waiting, bytes]);
    while (this.#waiting.length > streamChunkLength) {
      this.#chunk(this.#waiting.subarray(0, streamChunkLength), false);
      this.#waiting = this.#waiting.subarray(streamChunkLength);
    }
  }

  /** Gives how many bytes the archive has; they are on the disk. */
  end(): number {
    this.#chunk(this.#waiting, true);
    fsyncSync(this.#file);
    return fstatSync(this.#file).size;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #chunk(bytes: Uint8Array, isLast: boolean): void {
    const sealed = this.#sealer.seal(bytes, isLast);
    for (let at = 0; at < sealed.length; ) at += writeSync(this.#file, sealed, at);
  }
}

/** What a backup file says in the clear; a Failure when it is no backup. */
function readArchiveHead(path: string): { head: ArchiveHead; line: Buffer } {
  const file = openSync(path, "r");
  try {
    const start = Buffer.alloc(longestHead);
    const read = readSync(file, start, 0, longestHead, 0);
    const line = start.subarray(0, start.subarray(0, read).indexOf(0x0a) + 1);
    const head = parseHead(line.toString("utf8"));
    if (head === undefined) throw foreign("is no backup of wardmq, or damaged in its first line");
    return { head, line };
  } finally {
    closeSync(file);
  }
}

/** Opens an archive piece by piece with the private key of its recipient. Every piece has been verified. */
export function* readArchive(path: string, identity: KeyObject): Generator<Buffer> {
  const { head, line } = readArchiveHead(path);
  if (head.recipient !== spkiText(createPublicKey(identity))) {
    const isPassphrase = head.scrypt !== undefined;
    throw new Failure(
      "ERR_BACKUP_KEY",
      isPassphrase ? "the passphrase is another one" : "the backup is sealed to another key",
      {
        hint: isPassphrase ? "give the one it was made with" : "give the key that belongs to --to",
      },
    );
  }
  const file = openSync(path, "r");
  try {
    const key = keyOfRecipient(identity, Buffer.from(head.ephemeral, "base64"));
    const opener = new StreamOpener(key, line);
    const { size } = fstatSync(file);
    for (let at = line.length; ; ) {
      const sealed = Buffer.alloc(Math.min(sealedChunkLength, size - at));
      readSync(file, sealed, 0, sealed.length, at);
      at += sealed.length;
      yield opener.open(sealed, at === size);
      if (at === size) return;
    }
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    throw foreign("is damaged, cut off or put together from others");
  } finally {
    closeSync(file);
  }
}

export function foreign(what: string): Failure {
  return new Failure("ERR_BACKUP", `the file ${what}`, { hint: "take another copy of the backup" });
}

function parseHead(line: string): ArchiveHead | undefined {
  try {
    const head = JSON.parse(line) as ArchiveHead;
    const { format, version, recipient, ephemeral } = head;
    const isWhole = typeof recipient === "string" && typeof ephemeral === "string";
    return format === "wardmq backup" && version === 1 && isWhole ? head : undefined;
  } catch {
    return undefined;
  }
}

function spkiText(key: KeyObject): string {
  return key.export({ type: "spki", format: "der" }).toString("base64");
}
