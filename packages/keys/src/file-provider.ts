import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import type { KeyProvider, ProviderDescription } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";
import { localProvider } from "./local-provider.ts";
import { readPrivateFile, writeNewFile } from "./private-files.ts";

type Description = Extract<ProviderDescription, { name: "file" }>;

/** A key-encryption key in a file of mode 0600 beside what it opens: for a first look. */
export function fileProvider(description: Description, folder: string): KeyProvider {
  const path = join(folder, description.path);
  const key = parseKeyText(readPrivateFile(path), printable(path));
  return localProvider(description, () => key, `restore ${printable(path)} from a backup`);
}

/** Makes the file with a new key, or takes the one that is there. */
export function newFileProvider(folder: string, path = "kek.key"): KeyProvider {
  try {
    writeNewFile(join(folder, path), `${randomBytes(32).toString("hex")}\n`, 0o600);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
  }
  return fileProvider({ name: "file", path }, folder);
}

/** 32 octets, or 64 hexadecimal digits with or without an end of line. */
export function parseKeyText(bytes: Buffer, where: string): Buffer {
  if (bytes.length === 32) return bytes;
  const text = bytes.toString("latin1");
  if (/^[0-9a-f]{64}\r?\n?$/i.test(text)) return Buffer.from(text.slice(0, 64), "hex");
  throw new KeysError(
    "ERR_KEY_FILE",
    `${where} ${bytes.length === 0 ? "is empty" : "holds no key-encryption key"}`,
    "it has to hold the 32 octets or 64 hexadecimal digits that the keys were made with; for new keys: openssl rand -hex 32",
  );
}
