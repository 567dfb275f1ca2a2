import { statSync } from "node:fs";
import { parseConfig } from "@wardmq/config";
import { printable } from "@wardmq/events";
import type { BrokerSettings } from "@wardmq/feed";
import { type Policy, parsePolicy } from "@wardmq/policy";
import { sameBytes } from "@wardmq/x509";
import { certificatePem, type Issuer, isIssuedBy, sha256Hex } from "./ca/certificate-authority.ts";
import { fileSigner } from "./ca/file-signer.ts";
import { day, decodeCertificates } from "./ca/server-certificate.ts";
import { Failure, systemCode } from "./failure.ts";
import { readText } from "./files.ts";
import type { DeploymentIdentity } from "./registry/registry.ts";

/** Where things lie in a deployment, relative to its folder: paths of Unix sockets have to be short. */
export const paths = {
  settings: "wardmq.yaml",
  policy: "policy.yaml",
  rootKey: "control/root-ca.key",
  rootCertificate: "control/root-ca.pem",
  issuingKey: "control/issuing-ca.key",
  issuingCertificate: "control/issuing-ca.pem",
  feedKey: "control/feed.key",
  feedPublicKey: "broker/feed.pub",
  registry: "control/registry.db",
  lock: "control/lock.db",
  events: "control/events.ndjson",
  serverKey: "broker/server.key",
  serverCertificate: "broker/server.pem",
  controlSocket: "run/control.sock",
  feedSocket: "run/feed.sock",
} as const;

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
      { hint: "make one with wardmq init DIR --org ORG --host NAME", cause },
    );
  }
}

/** What the two files say that an operator writes. */
export interface OperatorFiles {
  readonly settings: BrokerSettings;
  readonly policy: Policy;
}

/** Reads both files or throws: one that is broken changes nothing. */
export function readOperatorFiles(
  overrides: readonly string[],
  identity: DeploymentIdentity,
): OperatorFiles {
  const { settings } = parseConfig(readText(paths.settings), overrides);
  for (const key of ["org", "environment", "trustDomain"] as const) {
    if (settings[key] === identity[key]) continue;
    // Every certificate and every record says it: a new value would lock all of them out.
    throw new Failure(
      "ERR_IDENTITY",
      `wardmq.yaml: ${key} is not the one this deployment was made for`,
      {
        hint: `write ${key}: ${identity[key]}, or make another deployment with wardmq init`,
      },
    );
  }
  return { settings, policy: parsePolicy(readText(paths.policy)) };
}

/** The certification authority of a deployment: its trust anchors, and who signs. */
export interface Authority {
  readonly issuer: Issuer;
  /** PEM: root, then issuing CA. */
  readonly trustAnchors: readonly string[];
  /** SHA-256 of the public keys that no subject may have: those of the CAs and of the broker. */
  readonly ownKeys: ReadonlySet<string>;
}

/** Opens the CA after checking that its files belong together and are still good. */
export function openAuthority(now: number): Authority {
  const [root] = decodeCertificates(paths.rootCertificate);
  const [certificate] = decodeCertificates(paths.issuingCertificate);
  const signer = fileSigner(paths.issuingKey);
  const hint = "restore the folder control from a backup";
  const refuse = (message: string) => new Failure("ERR_CA", message, { hint });
  if (!sameBytes(certificate.publicKey, signer.publicKey)) {
    throw refuse(`${paths.issuingCertificate} does not belong to the key ${paths.issuingKey}`);
  }
  if (!isIssuedBy(root, root) || !isIssuedBy(certificate, root)) {
    throw refuse(`${paths.issuingCertificate} is not issued by ${paths.rootCertificate}`);
  }
  for (const [path, { validity }] of [
    [paths.rootCertificate, root],
    [paths.issuingCertificate, certificate],
  ] as const) {
    if (validity.notAfter < now) throw refuse(`${path} expired on ${day(validity.notAfter)}`);
  }
  const [server] = decodeCertificates(paths.serverCertificate);
  return {
    issuer: { certificate, signer },
    trustAnchors: [certificatePem(root), certificatePem(certificate)],
    ownKeys: new Set([root, certificate, server].map(({ publicKey }) => sha256Hex(publicKey))),
  };
}
