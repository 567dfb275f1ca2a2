import { existsSync, readFileSync } from "node:fs";
import { printable } from "@wardmq/events";
import { replaceFile } from "@wardmq/keys";
import { Failure, systemCode } from "./failure.ts";

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
