import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  KeyFile,
  type KeyProvider,
  parseProviderChoice,
  providerChoices,
  syncFolder,
  writePrivateKeyFile,
} from "@wardmq/keys";
import { intoNewFolder } from "../commands/init.ts";
import { paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import { keyProviders } from "../keys.ts";
import { foreign, readArchive } from "./archive.ts";
import { hasIssuingKey, takeKeptCaKeys } from "./kept-ca-keys.ts";
import { type Manifest, manifest as manifestForm } from "./manifest.ts";

type Restore = Commands["restore"];

/**
 * Puts a backup into `directory`, which must not exist or be empty. Everything is verified before anything is put in
 * place: every chunk, every file by its SHA-256, every database by SQLite. Keys are wrapped by a provider of this host.
 */
export async function restore(
  directory: string,
  { file, identity, keys = "file", caKeys }: Restore["arguments"],
  now: () => number,
): Promise<Restore["result"]> {
  const began = now();
  const choice = parseProviderChoice(keys);
  if (choice === undefined) {
    const hint = `write ${providerChoices}`;
    throw new Failure("ERR_INIT_ARGUMENTS", `"${printable(keys, 80)}" names no provider`, { hint });
  }
  const archive = new ArchiveReader(file, parseIdentity(identity));
  let manifest: Manifest | undefined;
  let withCaKey = false;
  await intoNewFolder(directory, (folder) => {
    manifest = archive.manifest();
    for (const name of ["control", "broker", "run"]) mkdirSync(join(folder, name), { mode: 0o700 });
    for (const one of manifest.files) archive.extract(one, join(folder, one.path));
    archive.end();
    for (const { path } of manifest.files.filter((one) => one.path.endsWith(".db")))
      checkDatabase(path, join(folder, path));
    const providers = new Map<string, KeyProvider>();
    const providerFor = (path: string): KeyProvider => {
      const own = join(folder, dirname(path));
      const provider = providers.get(own) ?? keyProviders.create(choice, own);
      providers.set(own, provider);
      return provider;
    };
    for (const { path, content } of manifest.keyFiles)
      KeyFile.restore(join(folder, path), content, providerFor(path));
    for (const { path, pkcs8 } of manifest.privateKeys)
      writePrivateKeyFile(join(folder, path), privateKeyOf(pkcs8), providerFor(path));
    if (caKeys !== undefined) takeKeptCaKeys(folder, caKeys, providerFor(paths.issuingKey));
    withCaKey = hasIssuingKey(folder);
  });
  if (manifest === undefined) throw new Error("a folder was made without its content");
  const { createdAt, deployment, files } = manifest;
  const ageMs = Math.max(0, began - Date.parse(createdAt));
  const bytes = files.reduce((sum, one) => sum + one.bytes, 0);
  const milliseconds = now() - began;
  return { createdAt, ageMs, deployment, withCaKey, files: files.length, bytes, milliseconds };
}

function parseIdentity(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new Failure(
      "ERR_BACKUP_KEY",
      "the key to open the backup with is no private key in PEM",
      {
        hint: "give the file that wardmq backup-key has made",
        cause,
      },
    );
  }
}

function privateKeyOf(pkcs8: string): KeyObject {
  return createPrivateKey({ key: Buffer.from(pkcs8, "base64"), format: "der", type: "pkcs8" });
}

function checkDatabase(name: string, path: string): void {
  const database = new DatabaseSync(path);
  try {
    const [row] = database.prepare("PRAGMA integrity_check(1)").all();
    if (row?.["integrity_check"] !== "ok") throw foreign(`holds a damaged ${name}`);
  } finally {
    database.close();
  }
}

/** Takes a backup apart from its beginning to its end. */
class ArchiveReader {
  readonly #pieces: Generator<Buffer>;
  #rest = Buffer.alloc(0);

  constructor(path: string, identity: KeyObject) {
    this.#pieces = readable(path, () => readArchive(path, identity));
  }

  manifest(): Manifest {
    const length = this.#take(4).readUInt32BE();
    const parsed = manifestForm.safeParse(parseJson(this.#take(length).toString("utf8")));
    const isWhole = parsed.success && parsed.data.files.some(({ path }) => path === paths.settings);
    if (!isWhole) throw foreign("has a manifest of another form");
    return parsed.data;
  }

  /** Writes one file, on the disk when this returns. */
  extract({ path, bytes, sha256 }: Manifest["files"][number], to: string): void {
    mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
    const hash = createHash("sha256");
    const file = openSync(to, "wx", 0o600);
    try {
      for (let left = bytes; left > 0; ) {
        const piece = this.#some(left);
        hash.update(piece);
        for (let at = 0; at < piece.length; ) at += writeSync(file, piece, at);
        left -= piece.length;
      }
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncFolder(dirname(to));
    if (hash.digest("hex") !== sha256) throw foreign(`holds another ${path} than it says`);
  }

  /** Refuses what stands behind the last file. */
  end(): void {
    if (this.#rest.length > 0 || this.#pieces.next().done !== true)
      throw foreign("holds more than it says");
  }

  #take(length: number): Buffer {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const part = this.#some(left);
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Up to `most` bytes, at least one. */
  #some(most: number): Buffer {
    while (this.#rest.length === 0) {
      const next = this.#pieces.next();
      if (next.done === true) throw foreign("ends before its last file");
      this.#rest = Buffer.from(next.value);
    }
    const some = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** That the file itself can not be read is a sentence. */
function* readable(path: string, read: () => Generator<Buffer>): Generator<Buffer> {
  try {
    yield* read();
  } catch (cause) {
    const why = systemCode(cause);
    if (cause instanceof Failure || why === undefined) throw cause;
    const message = `cannot read ${printable(path, 1000)}: ${why}`;
    throw new Failure("ERR_BACKUP_FILE", message, { hint: "name the file of a backup", cause });
  }
}
