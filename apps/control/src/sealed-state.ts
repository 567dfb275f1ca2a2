import { endReplacements, type KeyFile } from "@wardmq/keys";
import { paths } from "./deployment.ts";
import { EventLog } from "./events/event-log.ts";
import { sealedNumberedTexts, sealedStateFile } from "./files.ts";
import { controlPlace, openControlKeys } from "./keys.ts";
import { openPending } from "./pending/pending.ts";
import { sealPlainDeployment, sealPlainState } from "./plain-deployment.ts";
import { type Doing, Registry } from "./registry/registry.ts";
import { type Resealable, rekey } from "./rekey.ts";

export interface SealedStateOptions {
  readonly now: () => number;
  readonly report: (line: string) => void;
  /** A line for a person who watches, for each grave event. */
  readonly tell?: (line: string) => void;
}

/** Everything that control keeps sealed on the disk, and what gives it new keys. */
export type SealedState = ReturnType<typeof openSealedState>;

/** Opens what is sealed in the current folder, whose lock the caller holds; what still lies in the clear is sealed first. */
export function openSealedState({ now, report, tell = () => {} }: SealedStateOptions) {
  if (endReplacements(paths.keysChange)) report("the change of the keys is finished");
  sealPlainDeployment(now(), report);
  const keys = openControlKeys();
  const files = sealedFilesOf(keys);
  sealPlainState(keys, files, report);
  using opened = new DisposableStack();
  const registry = opened.adopt(Registry.open(paths.registry, keys), (one) => one.close());
  const pending = opened.adopt(openPending(paths.pending, keys), (one) => one.close());
  const place = controlPlace(keys, "events");
  const log = new EventLog({ path: paths.events, place, report, tell });
  const events = opened.adopt(log, (one) => one.close());
  // INVARIANT: everything that the keys seal.
  const sealed: readonly Resealable[] = [registry, pending, events, ...Object.values(files)];
  const kept = opened.move();
  return {
    /** The random id of what the keys seal: of this deployment, and of its restored backups. */
    deployment: keys.store,
    registry,
    pending,
    events,
    files,
    rekey: ({ at }: Doing) => rekey(keys, sealed, at),
    close: () => kept.dispose(),
  };
}

export type SealedFiles = ReturnType<typeof sealedFilesOf>;

function sealedFilesOf(keys: KeyFile) {
  return {
    tokenRevocations: sealedStateFile(
      paths.tokenRevocations,
      controlPlace(keys, "token-revocations"),
    ),
    brokerStore: sealedStateFile(paths.brokerStore, controlPlace(keys, "broker-store")),
    fleet: sealedStateFile(paths.fleet, controlPlace(keys, "fleet")),
    rotations: sealedStateFile(paths.rotations, controlPlace(keys, "rotations")),
    revokedCas: sealedStateFile(paths.revokedCas, controlPlace(keys, "revoked-cas")),
    policyTrial: sealedStateFile(paths.policyTrial, controlPlace(keys, "policy-trial")),
    ruleUsage: sealedStateFile(paths.ruleUsage, controlPlace(keys, "rule-usage")),
    policies: sealedNumberedTexts(paths.policies, controlPlace(keys, "policies")),
  };
}
