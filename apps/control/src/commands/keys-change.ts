import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import {
  destroyFile,
  KeyFile,
  type KeyProvider,
  KeyProviders,
  type ProviderChoice,
  type ProviderDescription,
  parseProviderChoice,
  providerChoices,
  replaceSecretFiles,
  rewrappedPrivateKey,
} from "@wardmq/keys";
import { keyPathOf } from "../ca/ca-keys.ts";
import { decodeCertificates } from "../ca/pem-file.ts";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import { keyProviders, openControlKeys, wrappedKeyFiles } from "../keys.ts";
import { type Lock, takeLock } from "../lock.ts";
import type { Doing } from "../registry/registry.ts";
import { openSealedState } from "../sealed-state.ts";

type Change = Commands["keys.change"];

const folders = ["control", "broker"] as const;
const lockWaitMs = 2_000;

/**
 * Wraps every key of the deployment in the current folder by another provider, all or none, and destroys the former
 * key-encryption keys that lie in files. What the keys seal needs no change.
 */
export async function changeKeys(
  { to, passphrase }: Change["arguments"],
  doing: Doing,
  report: (line: string) => void,
): Promise<Change["result"]> {
  const choice = parseProviderChoice(to);
  if (choice === undefined) {
    const hint = `write ${providerChoices}`;
    throw new Failure("ERR_INIT_ARGUMENTS", `"${printable(to, 80)}" names no provider`, { hint });
  }
  await using stack = new AsyncDisposableStack();
  for (const path of [paths.lock, paths.brokerLock]) {
    const lock = await lockOf(path);
    if (lock !== undefined) stack.defer(() => lock.release());
  }
  const state = openSealedState({ now: () => doing.at, report });
  stack.defer(() => state.close());
  refuseKeysElsewhere();
  const former = openControlKeys().provider;
  const files = rewrapAll(choice, passphrase);
  state.registry.recordChange("keys.change", doing);
  const details = { actor: doing.actor, from: former.name, to: choice.name };
  state.events.append([{ type: "keys-changed", at: doing.at, details }]);
  return { from: former.name, to: choice.name, files };
}

/** Whoever serves holds keys in its memory, and would write them as they were. */
async function lockOf(path: string): Promise<Lock | undefined> {
  if (path === paths.brokerLock && !existsSync(path)) return undefined;
  try {
    return await takeLock(path, lockWaitMs, paths.controlSocket);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(error.code, "the deployment is in use", {
      hint: "end wardmq serve first, change the keys, and start it again",
    });
  }
}

/** A key that lies elsewhere would open with the former key-encryption key only, which may be gone. */
function refuseKeysElsewhere(): void {
  for (const path of [paths.rootCertificate, paths.issuingCertificate]) {
    for (const ca of decodeCertificates(path)) {
      if (keyPathOf(ca) !== undefined) continue;
      throw new Failure("ERR_ROOT_KEY", `the key of a CA in ${path} is not in the folder control`, {
        hint: "bring it back first (wardmq root-key restore DIR --from FILE): it opens with the former provider only",
      });
    }
  }
}

/** Gives how many files with keys there are. */
function rewrapAll(choice: ProviderChoice, passphrase: string | undefined): number {
  const environment =
    passphrase === undefined
      ? keyProviders.environment
      : { credentialsDirectory: undefined, passphrase: () => passphrase };
  const providers = new KeyProviders(environment);
  const keyFiles = {
    control: openControlKeys(),
    broker: KeyFile.open(paths.brokerKeys, "broker", keyProviders),
  };
  const made = choice.name === "file" ? fileKeys({ name: "file", path: "kek.key" }) : [];
  const left = made.filter((path) => existsSync(path));
  try {
    const [control, broker] = folders.map((folder) => providers.create(choice, folder)) as [
      KeyProvider,
      KeyProvider,
    ];
    refuseSame(keyFiles.control.provider, control.description);
    const contents = new Map([
      ...wrappedKeyFiles().map(
        (path) =>
          [
            path,
            rewrappedPrivateKey(path, keyProviders, path === paths.serverKey ? broker : control),
          ] as const,
      ),
      [paths.brokerKeys, keyFiles.broker.rewrapped(broker)],
      [paths.controlKeys, keyFiles.control.rewrapped(control)],
    ]);
    const former = folders.flatMap((folder) => fileKeys(keyFiles[folder].provider, [folder]));
    replaceSecretFiles(paths.keysChange, contents, former);
    return contents.size;
  } catch (error) {
    providers.undoMade();
    for (const path of made) if (!left.includes(path)) destroyFile(path);
    throw error;
  }
}

/** The files that key-encryption keys of this provider lie in. */
function fileKeys(provider: ProviderDescription, of: readonly string[] = folders): string[] {
  return provider.name === "file" ? of.map((folder) => join(folder, provider.path)) : [];
}

function refuseSame(former: ProviderDescription, next: ProviderDescription): void {
  if (JSON.stringify(former) !== JSON.stringify(next)) return;
  throw new Failure("ERR_KEYS_CHANGE", `the keys are protected by ${next.name} already`, {
    hint: "name another provider; wardmq state rekey gives new data keys",
  });
}
