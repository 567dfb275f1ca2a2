import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { printable } from "@wardmq/events";
import { KeysError } from "./keys-error.ts";

/** Writes a new file that is on the disk when this returns. */
export function writeNewFile(path: string, content: string | Uint8Array, mode: number): void {
  const file = openSync(path, "wx", mode);
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Puts a file in place of another in one step: a reader sees the old or the new one, whole. */
export function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const next = `${path}.next`;
  rmSync(next, { force: true });
  writeNewFile(next, content, mode);
  renameSync(next, path);
  syncFolder(dirname(path));
}

/** Makes what was renamed or created in a folder survive a power cut. */
export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const formerOf = (path: string) => `${path}.former`;

/**
 * Like `replaceFile`, and overwrites what the old file held. A crash in between leaves `PATH.former`, which the next
 * call of `endReplacement` destroys. A disk that writes elsewhere (flash, snapshots) may keep the old blocks all the same.
 */
export function replaceSecretFile(path: string, content: string | Uint8Array): void {
  const next = `${path}.next`;
  rmSync(next, { force: true });
  writeNewFile(next, content, 0o600);
  putInPlace(next, path);
}

/** Moves a file that is on the disk over another, and overwrites what that one held. */
export function putInPlace(next: string, path: string): void {
  const former = formerOf(path);
  destroyFile(former);
  if (existsSync(path)) linkSync(path, former);
  renameSync(next, path);
  syncFolder(dirname(path));
  destroyFile(former);
}

/** Destroys what a crash during `replaceSecretFile` left behind. */
export function endReplacement(path: string): void {
  destroyFile(formerOf(path));
}

/** Overwrites a file with zeros, on the disk, and removes it. One that is not there is destroyed already. */
export function destroyFile(path: string): void {
  if (!existsSync(path)) return;
  const file = openSync(path, "r+");
  try {
    writeSync(file, Buffer.alloc(fstatSync(file).size), 0, undefined, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  rmSync(path);
  syncFolder(dirname(path));
}

/** What a file with a key or a credential holds: nobody but its owner may be able to read or write it. */
export function readPrivateFile(path: string): Buffer {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    throw unreadable(path, cause);
  }
  try {
    // The open file is asked, not the path, so that nobody can put another file in between.
    const mode = fstatSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const found = mode.toString(8).padStart(4, "0");
      throw new KeysError(
        "ERR_KEY_MODE",
        `the key ${printable(path)} is open to others (mode ${found})`,
        `chmod 600 ${printable(path)}`,
      );
    }
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/** The text of a file that only its owner can read. */
export function readPrivateText(path: string): string {
  return readPrivateFile(path).toString("utf8");
}

function unreadable(path: string, cause: unknown): KeysError {
  const why = (cause as NodeJS.ErrnoException).code ?? "unreadable";
  const hint =
    why === "ENOENT" ? "restore it from a backup" : "make it readable for the user who runs wardmq";
  return new KeysError("ERR_KEY_FILE", `cannot read ${printable(path)}: ${why}`, hint, cause);
}
