import { existsSync, readdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  destroyFile,
  endReplacement,
  isPlainKeyFile,
  KeyFile,
  type ProviderChoice,
  wrapPlainKeyFile,
} from "@wardmq/keys";
import { paths } from "./deployment.ts";
import { EventLog } from "./events/event-log.ts";
import { readText } from "./files.ts";
import { controlPlace, keyProviders, openControlKeys } from "./keys.ts";
import { sealPlainPending } from "./pending/plain-pending.ts";
import type { SealedFiles } from "./sealed-state.ts";

const choice: ProviderChoice = { name: "file" };

/**
 * Brings the deployment in the current folder, if it is of the time when keys and events lay in the clear, to the form
 * of today: data keys are made, events sealed, private keys wrapped, and what lay in the clear is overwritten. The
 * registry seals itself when it is opened. Interrupted, it goes on at the next start: the key of the feed comes last,
 * and tells by its form whether all of it is done.
 */
export function sealPlainDeployment(now: number, report: (line: string) => void): void {
  if (!existsSync(paths.feedKey) || !isPlainKeyFile(paths.feedKey)) return;
  const provider = keyProviders.create(choice, dirname(paths.controlKeys));
  if (!existsSync(paths.brokerKeys)) {
    const ofBroker = keyProviders.create(choice, dirname(paths.brokerKeys));
    KeyFile.create(paths.brokerKeys, "broker", ofBroker, now);
  }
  if (!existsSync(paths.controlKeys)) KeyFile.create(paths.controlKeys, "control", provider, now);
  sealPlainEvents(report);
  for (const path of [paths.rootKey, paths.issuingKey, paths.feedKey]) {
    if (!existsSync(path)) continue; // the root may be kept elsewhere
    endReplacement(path);
    if (isPlainKeyFile(path)) wrapPlainKeyFile(path, provider);
  }
  report("keys and events of this deployment lay in the clear: they are wrapped and sealed now");
}

/** Seals what still lies in the clear of a deployment whose keys are wrapped. Interrupted, it goes on at the next start. */
export function sealPlainState(
  keys: KeyFile,
  { fleet, rotations, policies }: SealedFiles,
  report: (line: string) => void,
): void {
  const sealed = [
    sealPlainPending(paths.plainPending, paths.pending, keys),
    sealPlain(paths.plainFleet, (text) => fleet.write(text)),
    sealPlain(paths.plainRotations, (text) => rotations.write(text)),
    ...plainVersions().map((number) =>
      sealPlain(plainVersionPath(number), (text) => policies.add(number, text)),
    ),
  ];
  if (sealed.includes(true)) report("state of this deployment lay in the clear: it is sealed now");
}

/** Seals the text of a file, then destroys that file; tells whether there was one. */
function sealPlain(path: string, seal: (text: string) => void): boolean {
  const former = `${path}.former`;
  const isThere = existsSync(path);
  if (isThere) {
    seal(readText(path));
    renameSync(path, former); // half overwritten it must not be read again
  }
  destroyFile(former);
  return isThere;
}

/** Numbers of the versions of the policy that are in the clear, or were and are not overwritten yet. */
function plainVersions(): readonly number[] {
  if (!existsSync(paths.policies)) return [];
  const found = readdirSync(paths.policies).flatMap(
    (name) => /^(\d{6})\.json(\.former)?$/.exec(name)?.[1] ?? [],
  );
  return [...new Set(found)].map(Number);
}

function plainVersionPath(number: number): string {
  return join(paths.policies, `${String(number).padStart(6, "0")}.json`);
}

/** The current file and the full ones before it, the oldest first. */
function sealPlainEvents(report: (line: string) => void): void {
  const files = [4, 3, 2, 1].map((number) => `${paths.plainEvents}.${number}`);
  const there = [...files, paths.plainEvents].filter((path) => existsSync(path));
  if (there.length === 0) return;
  const place = controlPlace(openControlKeys(), "events");
  const log = new EventLog({ path: paths.events, place, report });
  try {
    for (const path of there) log.takeOver(path);
  } finally {
    log.close();
  }
}
