import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Commands } from "@wardmq/commands";
import { ConfigError, defaultConfigText, parseConfig, trustDomainOf } from "@wardmq/config";
import { printable } from "@wardmq/events";
import {
  KeyFile,
  KeysError,
  keySigner,
  type ProviderChoice,
  parseProviderChoice,
  providerChoices,
  syncFolder,
  writeNewFile,
  writePrivateKeyFile,
  writeTokenKeyFile,
} from "@wardmq/keys";
import { defaultPolicyText } from "@wardmq/policy";
import {
  encodeName,
  encodePem,
  type NameAttributes,
  parseTrustDomain,
  type Signer,
} from "@wardmq/x509";
import { certificatePem, issueRoot, sha256Hex } from "../ca/certificate-authority.ts";
import { issueIssuingCa } from "../ca/issuing-ca-rotation.ts";
import { paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import { keyProviders } from "../keys.ts";
import { type DeploymentIdentity, type Doing, Registry } from "../registry/registry.ts";

type Init = Commands["init"];

/** Makes a deployment in `directory`, which must not exist or be empty: a whole one, or none. */
export async function init(
  directory: string,
  wanted: Init["arguments"],
  doing: Doing,
): Promise<Init["result"]> {
  const { org, environment, hosts, keys = "file", caToken } = wanted;
  const choice = parseProviderChoice(keys);
  if (choice === undefined) {
    throw new Failure("ERR_INIT_ARGUMENTS", `"${printable(keys, 80)}" names no key provider`, {
      hint: `write ${providerChoices}`,
    });
  }
  const trustDomain = trustDomainOf(environment, org);
  const configText = defaultConfigText({ org, environment, trustDomain, hosts });
  refuseWrongArguments(configText);
  const identity = { org, environment, trustDomain: parseTrustDomain(trustDomain) };
  let rootFingerprint = "";
  const write = async (folder: string) => {
    const places = { choice, caToken };
    rootFingerprint = await writeDeployment(folder, identity, configText, places, doing);
  };
  await intoNewFolder(directory, write);
  return { trustDomain, hosts, rootFingerprint };
}

type Write = (folder: string) => Promise<void> | void;

/** Has `write` fill a folder that becomes `directory`, which must not exist or be empty: the whole of it, or nothing. */
export async function intoNewFolder(directory: string, write: Write): Promise<void> {
  try {
    await (isEmptyFolder(directory) ? fillFolder(directory, write) : makeFolder(directory, write));
  } catch (error) {
    keyProviders.undoMade();
    throw notMade(directory, error);
  }
}

/** Writes a folder beside where it shall be, and moves it there in one step. */
async function makeFolder(directory: string, write: Write): Promise<void> {
  const staging = join(dirname(directory), `.${basename(directory)}.init-${process.pid}`);
  try {
    mkdirSync(dirname(directory), { recursive: true });
    mkdirSync(staging, { mode: 0o700 });
    await write(staging);
    renameSync(staging, directory);
    syncFolder(dirname(directory));
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/**
 * Writes inside of an empty folder that is there already, and may be a mount point or stand where nobody else may write,
 * so that it can not be replaced.
 */
async function fillFolder(directory: string, write: Write): Promise<void> {
  const staging = join(directory, ".init");
  const moved: string[] = [];
  mkdirSync(staging, { mode: 0o700 }); // fails for the second of two at once
  try {
    if (readdirSync(directory).length > 1) throw notEmpty(directory);
    chmodSync(directory, 0o700);
    await write(staging);
    for (const name of readdirSync(staging)) {
      renameSync(join(staging, name), join(directory, name));
      moved.push(name);
    }
    syncFolder(directory);
  } catch (error) {
    for (const name of moved) rmSync(join(directory, name), { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

function refuseWrongArguments(configText: string): void {
  try {
    parseConfig(configText, []);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const said = error.problems.map(({ key, message, hint }) => `${key}: ${message}; ${hint}`);
    throw new Failure("ERR_INIT_ARGUMENTS", said.join("\n"));
  }
}

/** Whether the folder is there; one that holds something is refused. */
function isEmptyFolder(directory: string): boolean {
  try {
    if (readdirSync(directory).length === 0) return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
  throw notEmpty(directory);
}

function notEmpty(directory: string): Failure {
  return new Failure("ERR_FOLDER_NOT_EMPTY", `${printable(directory)} is not empty`, {
    hint: "name a new folder",
  });
}

function notMade(directory: string, error: unknown): unknown {
  const code = systemCode(error);
  const isSaid = error instanceof Failure || error instanceof KeysError;
  if (code === undefined || isSaid) return error;
  if (code === "ENOTEMPTY" || code === "EEXIST") return notEmpty(directory);
  return new Failure("ERR_FOLDER", `cannot make ${printable(directory)}: ${code}`, {
    hint: "name a folder that does not exist, in one you may write to",
    cause: error,
  });
}

/** What wraps the keys in files, and the token that holds those of the CAs, when one does: a PKCS#11 URI. */
interface KeyPlaces {
  readonly choice: ProviderChoice;
  readonly caToken: string | undefined;
}

async function writeDeployment(
  folder: string,
  identity: DeploymentIdentity,
  configText: string,
  { choice, caToken }: KeyPlaces,
  doing: Doing,
): Promise<string> {
  for (const name of ["control", "broker", "run"]) mkdirSync(join(folder, name), { mode: 0o700 });
  const write = (path: string, text: string) => writeNewFile(join(folder, path), text, 0o600);
  const controlProvider = keyProviders.create(choice, join(folder, "control"));
  const brokerProvider = keyProviders.create(choice, join(folder, "broker"));
  const writeKey = (path: string, key: KeyObject) =>
    writePrivateKeyFile(join(folder, path), key, controlProvider);
  const newCaSigner = (path: string, role: "root" | "issuing"): Signer => {
    if (caToken !== undefined) {
      const uri = caToken.replace(/object=[^;?]*/, (object) => `${object}-${role}`);
      return writeTokenKeyFile(join(folder, path), uri, "P-256", keyProviders);
    }
    const key = newKey();
    writeKey(path, key);
    return keySigner(key);
  };

  const name = (commonName: string): NameAttributes => ({
    organizationName: identity.org,
    organizationalUnitName: identity.environment,
    commonName,
  });
  const rootSigner = newCaSigner(paths.rootKey, "root");
  const signer = newCaSigner(paths.issuingKey, "issuing");
  const feedKey = generateKeyPairSync("ed25519").privateKey;
  const root = await issueRoot(encodeName(name("WardMQ root CA")), rootSigner, doing.at);
  const issuing = await issueIssuingCa(
    { certificate: root, signer: rootSigner },
    identity,
    signer.publicKey,
    doing.at,
    encodeName(name("WardMQ issuing CA")),
  );

  write(paths.settings, configText);
  write(paths.policy, defaultPolicyText());
  write(paths.rootCertificate, certificatePem(root));
  write(paths.issuingCertificate, certificatePem(issuing));
  writeKey(paths.feedKey, feedKey);
  write(paths.feedPublicKey, encodePem("PUBLIC KEY", keySigner(feedKey).publicKey));
  const keys = KeyFile.create(
    join(folder, paths.controlKeys),
    "control",
    controlProvider,
    doing.at,
  );
  KeyFile.create(join(folder, paths.brokerKeys), "broker", brokerProvider, doing.at);
  Registry.create(join(folder, paths.registry), identity, keys, doing);
  return sha256Hex(root.der);
}

function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}
