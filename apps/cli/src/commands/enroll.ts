import { printable } from "@wardmq/events";
import { KeysError } from "@wardmq/keys";
import { isUuid } from "@wardmq/x509";
import { type Command, InvalidArgumentError, Option } from "commander";
import { day, print } from "../command-line.ts";
import { credentialFiles } from "../credential.ts";
import { type KeyStore, keyStoreForms, parseKeyStore } from "../enrol/device-key.ts";
import { type Enrolled, enrol, readCredential, readText, renew } from "../enrol/enrol.ts";
import { estUrl, type Proof, pinnedCa } from "../enrol/est-client.ts";
import { Failure } from "../failure.ts";
import { typed } from "../passphrase.ts";

interface Wanted {
  readonly url: string;
  readonly out: string;
  readonly ca?: string;
  readonly fingerprint?: string;
  readonly id?: string;
  readonly codeFile?: string;
  readonly idevid?: string;
  readonly key?: KeyStore;
  readonly renew?: boolean;
  readonly force?: boolean;
}

const summary = "on the device: make a key, enrol it over EST, and keep what comes back";

/** `device` is the group that commands/subjects.ts made. */
export function addEnrollCommand(device: Command): void {
  device
    .command("enroll")
    .summary(summary)
    .description(
      `${summary}: ${credentialFiles.join(", ")}. The one-time code comes from --code-file, standard input, or is typed.`,
    )
    .requiredOption("--url <url>", "where EST is: https://HOST:8443")
    .requiredOption("--out <folder>", "where key and certificate are kept")
    .option("--ca <file>", "the root CA, in PEM (with --renew: default ca.pem in --out)")
    .addOption(
      new Option("--fingerprint <sha256>", "or its SHA-256 fingerprint, in hex")
        .argParser(parseFingerprint)
        .conflicts("ca"),
    )
    .option("--id <uuid>", "the device", parseId)
    .option("--code-file <file>", "its one-time code, from wardmq device code")
    .addOption(
      new Option(
        "--idevid <folder>",
        "instead of a code: key.pem and cert.pem of its maker",
      ).conflicts("codeFile"),
    )
    .addOption(
      new Option(
        "--key <where>",
        `where the key is made and stays: ${keyStoreForms} (default: file; with --renew where it is)`,
      ).argParser(parseKey),
    )
    .addOption(
      new Option(
        "--renew",
        "the next certificate, for a new key, when two thirds of its life are over",
      ).conflicts(["id", "codeFile", "idevid"]),
    )
    .option("--force", "renew now; or put another credential in the place of one")
    .addHelpText(
      "after",
      `
Examples:
  wardmq device enroll --url https://mqtt.example:8443 --ca ca.pem --id UUID --code-file code --out /var/lib/device
  wardmq device enroll --url https://mqtt.example:8443 --fingerprint SHA256 --idevid /etc/idevid --out /var/lib/device
  wardmq device enroll --url https://mqtt.example:8443 --ca ca.pem --id UUID --code-file code --key tpm2 --out /var/lib/device
  wardmq device enroll --url https://mqtt.example:8443 --renew --out /var/lib/device      daily, from a timer`,
    )
    .action(enroll);
}

async function enroll({ out, force = false, ...wanted }: Wanted): Promise<void> {
  const url = estUrl(wanted.url);
  if (wanted.renew) {
    const pinned = await trusted(url, wanted);
    const result = await renew(url, {
      out,
      force,
      ...(pinned === undefined ? {} : { ca: pinned }),
      ...(wanted.key === undefined ? {} : { store: wanted.key }),
    });
    if ("spiffeId" in result) return written(out, result);
    return print(`not yet time: the certificate is renewed from ${day(result.renewFrom)} on`);
  }
  const { id } = wanted;
  if (id === undefined && wanted.idevid === undefined)
    throw new Failure(2, "nothing says which device this is", "name it: --id UUID, or --idevid");
  const ca = await trusted(url, wanted);
  if (ca === undefined) {
    const hint = "name the root CA: --ca FILE, or --fingerprint SHA256";
    throw new Failure(2, "nothing says whom to trust", hint);
  }
  const proof = () => proofOf(wanted); // not before the folder is known to be free
  written(
    out,
    await enrol({ url, ca }, proof, {
      out,
      force,
      store: wanted.key ?? { name: "file" },
      ...(id === undefined ? {} : { id }),
    }),
  );
}

async function trusted(
  url: URL,
  { ca, fingerprint }: Pick<Wanted, "ca" | "fingerprint">,
): Promise<string | undefined> {
  if (fingerprint !== undefined) return pinnedCa(url, fingerprint);
  return ca === undefined ? undefined : readText(ca);
}

const standardInput = 0;

function proofOf({ id = "", codeFile, idevid }: Pick<Wanted, "id" | "codeFile" | "idevid">): Proof {
  if (idevid !== undefined) return readCredential(idevid);
  const hint = "write it to a file for --code-file, or to standard input";
  const given = codeFile ?? (process.stdin.isTTY ? undefined : standardInput);
  const text = given === undefined ? typed("one-time code: ", hint) : readText(given);
  const [code = ""] = text.trim().split("\n"); // what wardmq device code prints has a second line
  if (code !== "") return { id, code };
  throw new Failure(2, "the one-time code is empty", hint);
}

function written(out: string, { spiffeId, notAfter, renewFrom, left }: Enrolled): void {
  for (const sentence of left) print(sentence);
  print(`wrote ${credentialFiles.join(", ")} for ${spiffeId} to ${printable(out, 1000)}`);
  print(`good until ${day(notAfter)}; renew it from ${day(renewFrom)} on: --renew`);
}

function parseFingerprint(text: string): string {
  const hex = text.replaceAll(":", "").toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new InvalidArgumentError("write 64 hex digits, with colons or without");
}

function parseKey(text: string): KeyStore {
  const hint = `write ${keyStoreForms}`;
  try {
    const store = parseKeyStore(text);
    if (store !== undefined) return store;
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    throw new InvalidArgumentError(`${error.message}; ${hint}`);
  }
  throw new InvalidArgumentError(hint);
}

function parseId(text: string): string {
  const id = text.replace(/^device:/, "");
  if (isUuid(id)) return id;
  throw new InvalidArgumentError("write a uuid in lower case");
}
