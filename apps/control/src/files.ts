import { existsSync, readFileSync } from "node:fs";
import { printable } from "@wardmq/events";
import { readPrivateFile, replaceFile, replaceSecretFile } from "@wardmq/keys";
import { SealError, type SealedPlace } from "@wardmq/sealing";
import { Failure, systemCode } from "./failure.ts";
import type { Resealable } from "./rekey.ts";

/** A file of control's own that may not be there yet. */
export interface StateFile {
  read(): string | undefined;
  /** Replaces the whole; on the disk when this returns. */
  write(text: string): void;
}

/** Written as it is, for its owner only: for what anybody may know. */
export function stateFile(path: string): StateFile {
  return {
    read: () => (existsSync(path) ? readText(path) : undefined),
    write: (text) => replaceFile(path, text, 0o600),
  };
}

/** Sealed. That it does not open is a sentence: nobody but us writes it. */
export function sealedStateFile(path: string, place: SealedPlace): StateFile & Resealable {
  const row = "";
  const file: StateFile = {
    read: () => {
      if (!existsSync(path)) return undefined;
      try {
        return place.open(row, readPrivateFile(path)).toString("utf8");
      } catch (cause) {
        if (!(cause instanceof SealError)) throw cause;
        throw new Failure("ERR_STATE", `${path} can not be opened: ${cause.message}`, {
          hint: "restore it from a backup",
          cause,
        });
      }
    },
    write: (text) => replaceSecretFile(path, place.seal(row, Buffer.from(text))),
  };
  const reseal = async () => {
    const text = file.read();
    if (text !== undefined) file.write(text);
  };
  return { ...file, reseal };
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
