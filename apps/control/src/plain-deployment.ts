import { existsSync } from "node:fs";
import { dirname } from "node:path";
import {
  endReplacement,
  isPlainKeyFile,
  KeyFile,
  type ProviderChoice,
  wrapPlainKeyFile,
} from "@wardmq/keys";
import { paths } from "./deployment.ts";
import { EventLog } from "./events/event-log.ts";
import { controlPlace, keyProviders, openControlKeys } from "./keys.ts";

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
