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

const draftOf = (path: string) => `${path}.next`;

/** Puts a file in place of another in one step: a reader sees the old or the new one, whole. */
export function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const next = draftOf(path);
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
  const next = draftOf(path);
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

/** What is under way while several files are replaced: paths as the caller gave them. */
interface Replacement {
  readonly replaced: readonly string[];
  readonly destroyed: readonly string[];
}

/**
 * Like `replaceSecretFile` for several files at once, and destroys others with the old ones:
 *
 *     drafts beside the files --`list` is written--> committed --moved one by one, others destroyed--> `list` is gone
 *
 * A crash before `list` is there leaves all of the old files, one after it all of the new ones, as soon as somebody calls
 * `endReplacements`.
 */
export function replaceSecretFiles(
  list: string,
  contents: ReadonlyMap<string, string>,
  destroyed: readonly string[],
): void {
  try {
    for (const [path, content] of contents) {
      rmSync(draftOf(path), { force: true });
      writeNewFile(draftOf(path), content, 0o600);
      syncFolder(dirname(path));
    }
    const replacement: Replacement = { replaced: [...contents.keys()], destroyed };
    replaceFile(list, JSON.stringify(replacement), 0o600);
  } catch (error) {
    for (const path of contents.keys()) rmSync(draftOf(path), { force: true });
    throw error;
  }
  endReplacements(list);
}

/** Finishes what a crash during `replaceSecretFiles` left committed; tells whether there was something. */
export function endReplacements(list: string): boolean {
  const replacement = readReplacement(list);
  if (replacement === undefined) return false;
  for (const path of replacement.replaced) {
    if (existsSync(draftOf(path))) putInPlace(draftOf(path), path);
    endReplacement(path);
  }
  for (const path of replacement.destroyed) destroyFile(path);
  rmSync(list);
  syncFolder(dirname(list));
  return true;
}

/** Where the content of a file is that counts, while `list` may say that a committed one has not been moved yet. */
export function committedPath(list: string, path: string): string {
  const isListed = readReplacement(list)?.replaced.includes(path) === true;
  return isListed && existsSync(draftOf(path)) ? draftOf(path) : path;
}

function readReplacement(list: string): Replacement | undefined {
  return existsSync(list) ? (JSON.parse(readPrivateText(list)) as Replacement) : undefined;
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
  try {
    return readFileWithout(0o077, path, `the key ${printable(path)}`);
  } catch (cause) {
    throw cause instanceof KeysError ? cause : unreadable(path, cause);
  }
}

/** What a file holds whose mode gives none of these rights; what the system refuses is thrown as it is. */
export function readFileWithout(rights: number, path: string, what: string): Buffer {
  const file = openSync(path, "r");
  try {
    // The open file is asked, not the path, so that nobody can put another file in between.
    const mode = fstatSync(file).mode & 0o777;
    if ((mode & rights) !== 0) {
      const found = mode.toString(8).padStart(4, "0");
      throw new KeysError(
        "ERR_KEY_MODE",
        `${what} is open to others (mode ${found})`,
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
