import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { basename, join } from "node:path";
import { printable } from "@wardmq/events";
import { syncFolder, writeNewFile } from "@wardmq/keys";
import { credentialFiles } from "../credential.ts";
import { Failure, systemCode } from "../failure.ts";
import { destroyKey } from "./device-key.ts";

/*
 * key.pem, cert.pem and ca.pem are links through one link, `.current`, to a folder that holds all three:
 *
 *     key.pem -> .current/key.pem        .current -> .credential-a1b2c3
 *
 * Moving `.current` is one step, so that key and certificate fit together whenever the device loses its power.
 */
const current = ".current";
const prefix = ".credential-";

/** A key that is on the disk and not yet in use. */
export interface Staged {
  readonly keyPath: string;
  /** Puts it and its certificate in the place of the former ones, and destroys those; tells what could not be destroyed. */
  install(certificatePath: string, authorities: string): readonly string[];
  /** Destroys it, unless it is in use. */
  discard(): void;
}

export function holdsCredential(folder: string): boolean {
  return credentialFiles.some((file) => existsSync(join(folder, file)));
}

/** Writes what key.pem holds, the key or where it is, beside the one in use. */
export function stageKey(folder: string, key: string): Staged {
  const staged = writable(folder, () => {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = mkdtempSync(join(folder, prefix)); // mode 0700
    writeNewFile(join(path, "key.pem"), key, 0o600);
    return path;
  });
  return {
    keyPath: join(staged, "key.pem"),
    install: (certificatePath, authorities) =>
      writable(folder, () => {
        writeNewFile(join(staged, "cert.pem"), certificatePath, 0o644);
        writeNewFile(join(staged, "ca.pem"), authorities, 0o644);
        syncFolder(staged);
        linkFiles(folder);
        pointTo(folder, staged);
        return readdirSync(folder)
          .filter((name) => name.startsWith(prefix) && !isCurrent(folder, name))
          .flatMap((name) => destroy(join(folder, name)) ?? []);
      }),
    discard: () => {
      if (!isCurrent(folder, basename(staged))) destroy(staged);
    },
  };
}

function isCurrent(folder: string, name: string): boolean {
  const path = join(folder, current);
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined && readlinkSync(path) === name;
}

/** Makes the three names links; files that are there, such as `wardmq credential` makes, stay what they lead to. */
function linkFiles(folder: string): void {
  const isLink = (file: string) => {
    const path = join(folder, file);
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() !== true) return false;
    if (readlinkSync(path) === join(current, file)) return true;
    const hint = "put the file itself there, or choose another --out";
    throw new Failure(1, `${printable(path)} is a link that somebody made`, hint);
  };
  const plain = credentialFiles.filter((file) => existsSync(join(folder, file)) && !isLink(file));
  if (plain.length === credentialFiles.length) {
    const former = mkdtempSync(join(folder, prefix));
    for (const file of plain) linkSync(join(folder, file), join(former, file));
    pointTo(folder, former);
  }
  for (const file of credentialFiles.filter((one) => !isLink(one)))
    putLink(join(current, file), join(folder, file));
  syncFolder(folder);
}

function pointTo(folder: string, credential: string): void {
  putLink(basename(credential), join(folder, current));
  syncFolder(folder);
}

/** A link in one step, also where there is one. */
function putLink(target: string, path: string): void {
  const next = `${path}.next`;
  rmSync(next, { force: true });
  symlinkSync(target, next);
  renameSync(next, path);
}

function destroy(credential: string): string | undefined {
  const key = join(credential, "key.pem");
  const left = existsSync(key) ? destroyKey(key) : undefined;
  rmSync(credential, { recursive: true, force: true });
  return left;
}

function writable<T>(folder: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const why = systemCode(error);
    if (why === undefined) throw error;
    const hint = "choose a folder you may write to, on a disk with links";
    throw new Failure(1, `cannot write to ${printable(folder)}: ${why}`, hint);
  }
}
