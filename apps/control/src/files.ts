import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { printable } from "@wardmq/events";
import { readPrivateFile, replaceFile, replaceSecretFile, syncFolder } from "@wardmq/keys";
import { SealError, type SealedPlace } from "@wardmq/sealing";
import { Failure, systemCode } from "./failure.ts";
import type { Resealable } from "./rekey.ts";

/** A file of control's own that may not be there yet. */
export interface StateFile {
  read(): string | undefined;
  /** Replaces the whole; on the disk when this returns. */
  write(text: string): void;
  remove(): void;
}

/** Written as it is, for its owner only: for what anybody may know. */
export function stateFile(path: string): StateFile {
  return {
    read: () => (existsSync(path) ? readText(path) : undefined),
    write: (text) => replaceFile(path, text, 0o600),
    remove: () => rmSync(path, { force: true }),
  };
}

/** Sealed. That it does not open is a sentence: nobody but us writes it. */
export function sealedStateFile(path: string, place: SealedPlace): StateFile & Resealable {
  const row = "";
  const file: StateFile = {
    read: () => (existsSync(path) ? openSealed(path, place, row).toString() : undefined),
    write: (text) => replaceSecretFile(path, place.seal(row, Buffer.from(text))),
    remove: () => rmSync(path, { force: true }),
  };
  const reseal = async () => {
    const text = file.read();
    if (text !== undefined) file.write(text);
  };
  return { ...file, reseal };
}

/** Texts by a number, each in a file of its own that is never changed. */
export interface NumberedTexts {
  /** The numbers there are, the highest first. */
  numbers(): readonly number[];
  read(number: number): string;
  /** On the disk when this returns. */
  add(number: number, text: string): void;
}

const numberedForm = /^(\d{6})\.sealed$/;

/** Texts by a number in a folder, each sealed at its number. */
export function sealedNumberedTexts(
  folder: string,
  place: SealedPlace,
): NumberedTexts & Resealable {
  const pathOf = (number: number) => join(folder, `${String(number).padStart(6, "0")}.sealed`);
  const write = (number: number, text: Uint8Array) =>
    replaceSecretFile(pathOf(number), place.seal(String(number), text));
  const texts: NumberedTexts = {
    numbers: () =>
      (existsSync(folder) ? readdirSync(folder) : [])
        .flatMap((name) => numberedForm.exec(name)?.[1] ?? [])
        .map(Number)
        .sort((a, b) => b - a),
    read: (number) => openSealed(pathOf(number), place, String(number)).toString(),
    add: (number, text) => {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      write(number, Buffer.from(text));
    },
  };
  const reseal = async () => {
    for (const number of texts.numbers()) {
      write(number, openSealed(pathOf(number), place, String(number)));
      await nextTurn();
    }
  };
  return { ...texts, reseal };
}

function openSealed(path: string, place: SealedPlace, row: string): Buffer {
  try {
    return place.open(row, readPrivateFile(path));
  } catch (cause) {
    if (!(cause instanceof SealError)) throw cause;
    throw new Failure("ERR_STATE", `${path} can not be opened: ${cause.message}`, {
      hint: "restore it from a backup",
      cause,
    });
  }
}

/** Puts a large file in place of another in one step; others have their turn while the disk works. */
export async function replaceLargeFile(
  path: string,
  content: Uint8Array,
  mode: number,
): Promise<void> {
  const next = `${path}.next`;
  await rm(next, { force: true });
  const file = await open(next, "wx", mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  syncFolder(dirname(path));
}

/** The text of a file; that it can not be read is a sentence. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const why = systemCode(cause) ?? "unreadable";
    const hint =
      why === "ENOENT"
        ? "restore it from a backup"
        : "make it readable for the user who runs wardmq";
    throw new Failure("ERR_FILE_UNREADABLE", `cannot read ${printable(path)}: ${why}`, {
      hint,
      cause,
    });
  }
}
