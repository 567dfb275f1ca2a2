import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Commands, commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  areScryptParameters,
  newScryptParameters,
  passphraseIdentity,
  providerChoices,
  type ScryptParameters,
} from "@wardmq/keys";
import { type Command, Option } from "commander";
import { ask, askOnce } from "../ask.ts";
import { count, type Json, print, printJson, wholeNumber } from "../command-line.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { Failure, systemCode } from "../failure.ts";
import { deploymentPassphrase, keptPassphrase, newDeploymentPassphrase } from "../keys.ts";
import { readNewPassphrase, readPassphrase } from "../passphrase.ts";

interface PassphraseOptions extends Json {
  readonly passphrase?: boolean;
  readonly passphraseFd?: number;
}

interface BackupOptions extends PassphraseOptions {
  readonly out: string;
  readonly to?: string;
  readonly withCaKey?: boolean;
}

interface RestoreOptions extends PassphraseOptions {
  readonly into: string;
  readonly key?: string;
  readonly keys: string;
  readonly caKeys?: string;
}

export function addBackupCommands(program: Command): void {
  withPassphrase(
    deploymentCommand(program, "backup", {
      summary: commands.backup.summary,
      examples: [
        "wardmq backup /srv/wardmq --out /mnt/ward.backup --to backup-key.pub",
        "wardmq backup /srv/wardmq --out /mnt/ward.backup --passphrase --with-ca-key",
      ],
    })
      .requiredOption("--out <file>", "the file to write; one that is there is never overwritten")
      .option("--to <file>", "the public key of the recipient: wardmq backup-key makes one")
      .option("--with-ca-key", "the private keys of the CAs too, as far as they lie in files"),
  ).action(async (words: string[], options: BackupOptions) => {
    const out = resolve(options.out); // before the deployment's folder becomes the current one
    const to = recipientOf(options);
    await inDeployment([], async () => {
      const withCaKey = options.withCaKey === true;
      const made = await askOnce(
        process.cwd(),
        "backup",
        { out, withCaKey, ...to },
        deploymentPassphrase(),
      );
      const { sha256, bytes } = made;
      await ask("backup.record", { sha256, bytes, withCaKey });
      if (options.json) return printJson({ out, withCaKey, ...made });
      print(
        `wrote ${count(made.files, "file")}, ${bytes} bytes sealed, to ${printable(out, 1000)}`,
      );
      print(`SHA-256 ${sha256}`);
      if (!withCaKey)
        print("without the keys of the CAs: keep those elsewhere, or use --with-ca-key");
    })(words, options);
  });

  withPassphrase(
    program
      .command("restore")
      .summary(commands.restore.summary)
      .description(commands.restore.summary)
      .argument("<FILE>", "the backup")
      .requiredOption("--into <folder>", "a new or an empty folder")
      .option("--key <file>", "the private key of the recipient")
      .option(
        "--keys <provider>",
        `what protects the keys on this host: ${providerChoices}`,
        "file",
      )
      .option(
        "--ca-keys <folder>",
        "where the key files of the CAs are kept, if the backup has none; with the provider file, their kek.key too",
      )
      .addHelpText(
        "after",
        `
Examples:
  wardmq restore /mnt/ward.backup --into /srv/wardmq --key backup-key
  wardmq restore /mnt/ward.backup --into /srv/wardmq --key backup-key --ca-keys /media/safe`,
      ),
  ).action(async (file: string, options: RestoreOptions) => {
    const path = resolve(file);
    const identity = identityOf(path, options);
    const { keys } = options;
    const caKeys = options.caKeys === undefined ? undefined : resolve(options.caKeys);
    const result = await askOnce(
      resolve(options.into),
      "restore",
      { file: path, identity, keys, ...(caKeys === undefined ? {} : { caKeys }) },
      newDeploymentPassphrase(keys) ?? (caKeys === undefined ? undefined : keptPassphrase(caKeys)),
    );
    if (options.json) return printJson(result);
    printRestored(result, options.into);
  });

  program
    .command("backup-key")
    .summary("make a key pair that backups are sealed to and opened with")
    .description("make a key pair that backups are sealed to and opened with")
    .requiredOption("--out <file>", "the private key; the public one goes to FILE.pub")
    .addOption(
      new Option("--type <type>", "the kind of key").choices(["X25519", "P-256"]).default("X25519"),
    )
    .addHelpText("after", "\nExamples:\n  wardmq backup-key --out backup-key")
    .action(({ out, type }: { out: string; type: "X25519" | "P-256" }) => {
      makeKeyPair(resolve(out), type);
      print(
        `wrote ${printable(out, 1000)} (keep it away from the host) and ${printable(out, 1000)}.pub`,
      );
    });
}

function withPassphrase(command: Command): Command {
  return command
    .option("--passphrase", "a passphrase instead of a key, typed at the terminal")
    .option(
      "--passphrase-fd <n>",
      "as --passphrase, from this file descriptor",
      wholeNumber(0, 9999),
    )
    .option("--json", "print the result as JSON");
}

function isByPassphrase({ passphrase, passphraseFd }: PassphraseOptions): boolean {
  return passphrase === true || passphraseFd !== undefined;
}

function recipientOf(
  options: BackupOptions,
): Pick<Commands["backup"]["arguments"], "recipient" | "scrypt"> {
  const { to, passphraseFd } = options;
  if (isByPassphrase(options) === (to !== undefined)) {
    const hint = "a backup is sealed to --to FILE or to --passphrase";
    throw new Failure(2, "exactly one of --to and --passphrase is needed", hint);
  }
  if (to !== undefined) return { recipient: readText(to) };
  const scrypt = newScryptParameters();
  const passphrase = readNewPassphrase(passphraseFd, "passphrase of the backup: ");
  return { recipient: publicPem(passphraseIdentity(passphrase, scrypt)), scrypt };
}

/** The private key that opens a backup, PEM. */
function identityOf(file: string, options: RestoreOptions): string {
  const { key, passphraseFd } = options;
  if (isByPassphrase(options) === (key !== undefined)) {
    const hint = "a backup opens with --key FILE or with --passphrase";
    throw new Failure(2, "exactly one of --key and --passphrase is needed", hint);
  }
  const scrypt = scryptOf(file);
  const shown = printable(file, 1000);
  if (key !== undefined && scrypt !== undefined)
    throw new Failure(
      2,
      `${shown} is sealed to a passphrase`,
      "give --passphrase instead of --key",
    );
  if (key !== undefined) return readText(key);
  if (scrypt === undefined) {
    const hint = "give the key it was made for with --key";
    throw new Failure(2, `${shown} is no backup that a passphrase opens`, hint);
  }
  const passphrase = readPassphrase(passphraseFd, "passphrase of the backup: ");
  const identity = passphraseIdentity(passphrase, scrypt);
  return identity.export({ type: "pkcs8", format: "pem" }).toString();
}

/** The parameters in the first line of a backup that is sealed to a passphrase. */
function scryptOf(file: string): ScryptParameters | undefined {
  const line = firstLine(file);
  try {
    const { scrypt } = JSON.parse(line) as { scrypt?: Record<string, unknown> };
    return scrypt !== undefined && areScryptParameters(scrypt) ? scrypt : undefined;
  } catch {
    return undefined; // control says that it is no backup
  }
}

function firstLine(path: string): string {
  const start = Buffer.alloc(4096);
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    readSync(file, start, 0, start.length, 0);
  } finally {
    closeSync(file);
  }
  return start.subarray(0, start.indexOf(0x0a)).toString("utf8");
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): Failure {
  const why = systemCode(error) ?? "unreadable";
  return new Failure(2, `cannot read ${printable(path, 1000)}: ${why}`, "correct the path");
}

function makeKeyPair(path: string, type: "X25519" | "P-256"): void {
  const { privateKey } =
    type === "X25519"
      ? generateKeyPairSync("x25519")
      : generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  try {
    writeFileSync(path, pem, { flag: "wx", mode: 0o600 });
    writeFileSync(`${path}.pub`, publicPem(privateKey), { flag: "wx" });
  } catch (error) {
    const why = systemCode(error);
    if (why === undefined) throw error;
    if (why !== "EEXIST") rmSync(path, { force: true });
    const hint = why === "EEXIST" ? "name new files" : "name files in a folder you may write to";
    throw new Failure(2, `cannot write ${printable(path, 1000)} and its .pub: ${why}`, hint);
  }
}

function publicPem(key: KeyObject): string {
  return createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
}

function printRestored(
  { createdAt, ageMs, deployment, withCaKey, files, milliseconds }: Commands["restore"]["result"],
  into: string,
): void {
  const { trustDomain } = deployment;
  print(`restored ${trustDomain} into ${printable(into, 1000)}: ${count(files, "file")}`);
  print(
    `the data is of ${createdAt}, ${ageText(ageMs)} old; restoring took ${(milliseconds / 1000).toFixed(1)} s`,
  );
  if (withCaKey) return;
  print(
    "it has no key of the issuing CA, and nothing is served without: restore it again into another",
  );
  print("folder with --ca-keys FOLDER, where the issuing-ca.key of the host it comes from is kept");
}

function ageText(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "less than a minute";
  if (minutes < 120) return count(minutes, "minute");
  return minutes < 48 * 60
    ? count(Math.floor(minutes / 60), "hour")
    : count(Math.floor(minutes / 1440), "day");
}
