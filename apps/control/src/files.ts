import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { printable } from "@wardmq/events";
import { Failure, systemCode } from "./failure.ts";

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

/** A file of control's own that may not be there yet; written whole, for its owner only. */
export function stateFile(path: string): {
  read(): string | undefined;
  write(text: string): void;
} {
  return {
    read: () => (existsSync(path) ? readText(path) : undefined),
    write: (text) => replaceFile(path, text, 0o600),
  };
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

/** The text of a file; that it can not be read is a sentence. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** The text of a file that holds a private key: nobody but its owner may be able to read or write it. */
export function readPrivateText(path: string): string {
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
      throw new Failure(
        "ERR_KEY_MODE",
        `the key ${printable(path)} is open to others (mode ${found})`,
        {
          hint: `chmod 600 ${printable(path)}`,
        },
      );
    }
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, cause: unknown): Failure {
  const why = systemCode(cause) ?? "unreadable";
  const hint =
    why === "ENOENT" ? "restore it from a backup" : "make it readable for the user who runs wardmq";
  return new Failure("ERR_FILE_UNREADABLE", `cannot read ${printable(path)}: ${why}`, {
    hint,
    cause,
  });
}
