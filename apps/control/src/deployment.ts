import { existsSync, statSync } from "node:fs";
import { relative } from "node:path";
import { apiVocabulary } from "@wardmq/commands";
import {
  ConfigError,
  type ControlListeners,
  type PublishedAddresses,
  parseConfig,
} from "@wardmq/config";
import { printable } from "@wardmq/events";
import type { BrokerSettings } from "@wardmq/feed";
import { loadPolicy, type Policy, type PolicyFile } from "@wardmq/policy";
import { type IssuerSettings, parseIssuers } from "@wardmq/tokens";
import { Failure, systemCode } from "./failure.ts";
import { readText } from "./files.ts";
import { refuseUngrantable } from "./policy/break-glass-grants.ts";
import { readPolicyFiles } from "./policy/policy-files.ts";
import type { DeploymentIdentity } from "./registry/registry.ts";

/** Where things lie in a deployment, relative to its folder: paths of Unix sockets have to be short. */
export const paths = {
  settings: "wardmq.yaml",
  policy: "policy.yaml",
  issuers: "issuers.yaml",
  rootKey: "control/root-ca.key",
  rootCertificate: "control/root-ca.pem",
  crossCertificate: "control/root-ca-cross.pem",
  fleet: "control/fleet.sealed",
  revokedCas: "control/revoked-cas.sealed",
  plainFleet: "control/fleet.json",
  rotations: "control/rotations.sealed",
  plainRotations: "control/rotations.json",
  issuingKey: "control/issuing-ca.key",
  issuingCertificate: "control/issuing-ca.pem",
  feedKey: "control/feed.key",
  formerFeedKeys: "control/feed.former.pub",
  nextFeedKey: "control/feed.next.key",
  feedPublicKey: "broker/feed.pub",
  controlKeys: "control/keys.json",
  brokerKeys: "broker/keys.json",
  keysChange: "control/keys-change.json",
  brokerLock: "broker/state/.lock",
  policies: "control/policies",
  policyTrial: "control/policy-trial.sealed",
  ruleUsage: "control/rule-usage.sealed",
  registry: "control/registry.db",
  issuerKeys: "control/issuer-keys.json",
  tokenRevocations: "control/token-revocations.sealed",
  brokerStore: "control/broker-store.sealed",
  pending: "control/pending.sealed.db",
  plainPending: "control/pending.db",
  manufacturers: "control/manufacturers",
  foreignCas: "control/foreign-cas",
  lock: "control/lock.db",
  events: "control/events.sealed",
  plainEvents: "control/events.ndjson",
  serverKey: "broker/server.key",
  serverCertificates: "control/server-certificates.pem",
  controlSocket: "run/control.sock",
  feedSocket: "run/feed.sock",
} as const;

/** The private key of a CA that a rotation made. */
export function caKeyPath(caId: string): string {
  return `control/ca-${caId}.key`;
}

/** The CRL of a CA that was published last. */
export function crlPath(caId: string): string {
  return `control/crl/${caId}.crl`;
}

/** Makes an existing deployment's folder the current one. */
export function enterDeployment(directory: string): void {
  try {
    process.chdir(directory);
    statSync(paths.registry);
  } catch (cause) {
    const why = systemCode(cause);
    throw new Failure(
      "ERR_NO_DEPLOYMENT",
      `${printable(directory)} ${why === "ENOENT" ? "holds no deployment" : `can not be used: ${why}`}`,
      {
        hint:
          why === "EACCES"
            ? "run it as the user the folder belongs to"
            : "make one with wardmq init DIR --org ORG --host NAME",
        cause,
      },
    );
  }
}

/** What the files say that an operator writes. */
export interface OperatorFiles {
  readonly settings: BrokerSettings;
  readonly controlListeners: ControlListeners;
  readonly published: PublishedAddresses;
  readonly anchor: string;
  readonly policy: Policy;
  /** What it was read from. */
  readonly policyFiles: readonly PolicyFile[];
  /** None where there is no issuers.yaml. */
  readonly issuers: readonly IssuerSettings[];
}

/** Whoever could change one of these would decide what the deployment does. */
const ours = [
  ".",
  "control",
  "broker",
  "run",
  "policy",
  paths.policy,
  paths.settings,
  paths.issuers,
];

function refuseWhatOthersCanChange(): void {
  if ((statSync(".").mode & 0o077) === 0) return; // nobody else gets in
  for (const path of ours) {
    const mode = (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777;
    if ((mode & 0o022) === 0) continue;
    const name = path === "." ? "the deployment's folder" : path;
    const found = mode.toString(8).padStart(4, "0");
    throw new Failure("ERR_FILE_MODE", `others can change ${name} (mode ${found})`, {
      hint: `chmod go-w ${path}`,
    });
  }
}

/** Reads the files or throws: one that is broken changes nothing. */
export function readOperatorFiles(
  overrides: readonly string[],
  identity: DeploymentIdentity,
): OperatorFiles {
  refuseWhatOthersCanChange();
  const config = parseConfig(readText(paths.settings), overrides);
  const { settings, controlListeners, published, anchor, places } = config;
  for (const key of ["org", "environment", "trustDomain"] as const) {
    if (settings[key] === identity[key]) continue;
    // Every certificate and every record says it: a new value would lock all of them out.
    const at = places.get(key) ?? { file: paths.settings, line: 1, column: 1 };
    const message = "is not the one this deployment was made for";
    const hint = `write ${key}: ${identity[key]}, or make another deployment with wardmq init`;
    throw new ConfigError([{ ...at, key, message, hint }]);
  }
  if (anchor !== "" && !relative(".", anchor).startsWith("..")) {
    const at = places.get("anchor") ?? { file: paths.settings, line: 1, column: 1 };
    const message = "lies in the deployment's folder, and would be put back with it";
    const hint = "name a file on another disk or another machine";
    throw new ConfigError([{ ...at, key: "anchor", message, hint }]);
  }
  const policyFiles = readPolicyFiles();
  const policy = loadPolicy(policyFiles, settings);
  const issuers = readIssuers();
  refuseUngrantable(policy, issuers, {
    file: paths.issuers,
    text: () => readText(paths.issuers),
  });
  return { settings, controlListeners, published, anchor, policy, policyFiles, issuers };
}

/** Nobody where there is no issuers.yaml. */
export function readIssuers(): readonly IssuerSettings[] {
  return existsSync(paths.issuers) ? parseIssuers(readText(paths.issuers), apiVocabulary) : [];
}
