import { createHash, createPublicKey, type KeyObject, randomBytes } from "node:crypto";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Commands } from "@wardmq/commands";
import { parseConfig } from "@wardmq/config";
import { printable } from "@wardmq/events";
import { KeyFile, openPrivateKeyFile, type UnwrappedKeyFile } from "@wardmq/keys";
import { isRecipient } from "@wardmq/sealing";
import { paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import { readText } from "../files.ts";
import { keyProviders, wrappedKeyFiles } from "../keys.ts";
import { ArchiveWriter } from "./archive.ts";
import type { Manifest } from "./manifest.ts";

type Backup = Commands["backup"];

/** Made anew by whoever starts, of this host only, or written otherwise into the manifest. */
const leftOut = [
  /^run\//,
  /^control\/lock\.db/,
  /^control\/keys-change\.json$/,
  /^control\/broker-store\.sealed$/, // the copy of the store is older than that
  /(^|\/)kek\.key$/,
  /\/keys\.json$/,
  /\.db-(wal|shm|journal)$/,
  /\.(next|former)$/,
  /(^|\/)\./,
];
const keyFiles = [
  { path: paths.controlKeys, purpose: "control" },
  { path: paths.brokerKeys, purpose: "broker" },
] as const;

/**
 * Copies the deployment in the current folder into a sealed archive while it is served, as a process of its own:
 *
 *     keys -> snapshot of every file (databases by SQLite itself) -> keys again -> manifest and files, sealed
 *
 * Keys are taken before and after, so that whatever key a row is sealed under is among them.
 */
export async function backup(wanted: Backup["arguments"], now: number): Promise<Backup["result"]> {
  const recipient = parseRecipient(wanted.recipient);
  const snapshot = join("run", `backup-${process.pid}-${randomBytes(8).toString("hex")}`);
  try {
    mkdirSync(snapshot, { recursive: true, mode: 0o700 });
    const before = unwrapKeyFiles();
    const { plain, wrapped } = namesOf(wanted.withCaKey);
    const copied = plain.filter((path) => copy(path, join(snapshot, path)));
    const manifest: Manifest = {
      version: 1,
      createdAt: new Date(now).toISOString(),
      deployment: identityOf(join(snapshot, paths.settings)),
      withCaKey: wanted.withCaKey,
      files: copied.map((path) => ({ path, ...digest(join(snapshot, path)) })),
      keyFiles: merge(before, unwrapKeyFiles()),
      privateKeys: wrapped.map((path) => ({ path, pkcs8: pkcs8Of(path) })),
    };
    const bytes = write(wanted, recipient, snapshot, manifest);
    const { sha256 } = digest(wanted.out);
    return { createdAt: manifest.createdAt, files: manifest.files.length, bytes, sha256 };
  } finally {
    rmSync(snapshot, { recursive: true, force: true });
  }
}

/** Removes the snapshots of backups that were killed; one whose process lives is still being read. */
export function removeLeftSnapshots(): void {
  for (const name of readdirSync("run")) {
    const [, pid] = /^backup-(\d+)-[0-9a-f]{16}$/.exec(name) ?? [];
    if (pid === undefined || isAlive(Number(pid))) continue;
    rmSync(join("run", name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
}

function parseRecipient(pem: string): KeyObject {
  // A public key could be made of it, and what opens every backup would stay on the host.
  if (pem.includes("PRIVATE KEY"))
    throw new Failure("ERR_BACKUP_KEY", "the recipient is a private key", {
      hint: "give the .pub that belongs to it, and keep the key itself away from this host",
    });
  try {
    const key = createPublicKey(pem);
    if (isRecipient(key)) return key;
  } catch {
    // said below
  }
  throw new Failure("ERR_BACKUP_KEY", "the recipient is no X25519 or P-256 public key in PEM", {
    hint: "make a pair with wardmq backup-key",
  });
}

/** Which files are copied, and which private keys are unwrapped. A key in a token stays there: its file is copied. */
function namesOf(withCaKey: boolean): { readonly plain: string[]; readonly wrapped: string[] } {
  const all = readdirSync(".", { recursive: true, encoding: "utf8" })
    .filter((path) => !leftOut.some((pattern) => pattern.test(path)) && statSync(path).isFile())
    .sort();
  const isOfCa = (path: string) => !path.startsWith("control/feed") && path !== paths.serverKey;
  const wrapped = wrappedKeyFiles();
  return {
    plain: all.filter((path) => !wrapped.includes(path)),
    wrapped: wrapped.filter((path) => withCaKey || !isOfCa(path)),
  };
}

/** Copies a file as it is now; tells whether it is still there. */
function copy(path: string, to: string): boolean {
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  try {
    if (path.endsWith(".db")) copyDatabase(path, to);
    else copyFileSync(path, to);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false; // its turn to go came in between
    throw error;
  }
}

function copyDatabase(path: string, to: string): void {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA busy_timeout = 10000");
    database.prepare("VACUUM INTO ?").run(to); // one read transaction: the writer goes on meanwhile
  } finally {
    database.close();
  }
}

function identityOf(settingsPath: string): Manifest["deployment"] {
  const { org, environment, trustDomain } = parseConfig(readText(settingsPath), []).settings;
  return { org, environment, trustDomain };
}

function unwrapKeyFiles(): Manifest["keyFiles"] {
  return keyFiles
    .filter(({ path }) => existsSync(path))
    .map(({ path, purpose }) => ({
      path,
      content: KeyFile.unwrap(path, purpose, keyProviders),
    }));
}

/** The later state of every key file, and of the earlier one the keys that were destroyed in between. */
function merge(before: Manifest["keyFiles"], after: Manifest["keyFiles"]): Manifest["keyFiles"] {
  return after.map(({ path, content }) => {
    const earlier = before.find((one) => one.path === path)?.content.keys ?? [];
    const keys = content.keys.map((one) => {
      const known = earlier.find(({ id }) => id === one.id);
      return one.state === "destroyed" && known !== undefined && known.state !== "destroyed"
        ? { ...known, state: "reading" as const }
        : one;
    });
    return { path, content: { ...content, keys } satisfies UnwrappedKeyFile };
  });
}

function pkcs8Of(path: string): string {
  const key = openPrivateKeyFile(path, keyProviders);
  return key.export({ type: "pkcs8", format: "der" }).toString("base64");
}

function write(
  { out, scrypt }: Backup["arguments"],
  recipient: KeyObject,
  snapshot: string,
  manifest: Manifest,
): number {
  let isWhole = false;
  const writer = open(out, () => new ArchiveWriter(out, recipient, scrypt));
  try {
    const text = Buffer.from(JSON.stringify(manifest));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    writer.write(length);
    writer.write(text);
    for (const { path } of manifest.files)
      for (const piece of piecesOf(join(snapshot, path))) writer.write(piece);
    const bytes = writer.end();
    isWhole = true;
    return bytes;
  } finally {
    writer[Symbol.dispose]();
    if (!isWhole) rmSync(out, { force: true });
  }
}

function open(out: string, make: () => ArchiveWriter): ArchiveWriter {
  try {
    return make();
  } catch (cause) {
    const why = systemCode(cause);
    if (why === undefined) throw cause;
    throw new Failure("ERR_BACKUP_FILE", `cannot write ${printable(out, 1000)}: ${why}`, {
      hint: why === "EEXIST" ? "name a new file" : "name a file in a folder that you may write to",
      cause,
    });
  }
}

function digest(path: string): { readonly bytes: number; readonly sha256: string } {
  const hash = createHash("sha256");
  let bytes = 0;
  for (const piece of piecesOf(path)) {
    hash.update(piece);
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

const pieceLength = 1024 * 1024;

function* piecesOf(path: string): Generator<Buffer> {
  const file = openSync(path, "r");
  try {
    for (let at = 0; ; ) {
      const piece = Buffer.alloc(pieceLength);
      const read = readSync(file, piece, 0, pieceLength, at);
      if (read === 0) return;
      at += read;
      yield piece.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}
