import { rmSync } from "node:fs";
import { replaceFile } from "@wardmq/keys";
import { type Certificate, decodeCertificate, decodePems, encodeName } from "@wardmq/x509";
import { paths } from "../deployment.ts";
import { makeCaKey, openRoot, removeCaKey } from "./ca-keys.ts";
import {
  certificatePem,
  issue,
  issueRoot,
  keyIdentifierOf,
  randomSerialNumber,
} from "./certificate-authority.ts";
import { issueIssuingCa } from "./issuing-ca-rotation.ts";
import { day, decodeCertificates } from "./pem-file.ts";
import type { Rotation } from "./rotations.ts";

interface Detail {
  /** PEM of the root CAs as they stood. */
  readonly former: readonly string[];
  readonly next: string;
  /** The new root, signed by the former one: for clients that do not have the new one yet. */
  readonly cross: string;
  /** The issuing CAs as they stood, and the one that signs certified by the new root instead. */
  readonly issuing: readonly string[];
  readonly nextIssuing: string;
  readonly stagedAt: number;
}

export const rootRotation: Rotation<Detail> = {
  meaning: {
    idle: "one root CA is trusted",
    staged: "who enrols or renews gets both roots; the path still ends at the former one",
    used: "the path ends at the new root; who has only the former one comes to it by a cross-certificate",
  },

  async stage({ identity, now }) {
    const [formerRoot] = decodeCertificates(paths.rootCertificate);
    const [issuing] = decodeCertificates(paths.issuingCertificate);
    const former = openRoot(formerRoot);
    const signer = makeCaKey(formerRoot);
    const subject = encodeName({
      organizationName: identity.org,
      organizationalUnitName: identity.environment,
      commonName: `WardMQ root CA ${Buffer.from(keyIdentifierOf(signer.publicKey)).toString("hex", 0, 4)}`,
    });
    const certificate = await issueRoot(subject, signer, now);
    const cross = await issue(former, {
      profile: "rootCa",
      subject,
      publicKey: signer.publicKey,
      serialNumber: randomSerialNumber(),
      now,
    });
    return {
      former: decodeCertificates(paths.rootCertificate).map(certificatePem),
      next: certificatePem(certificate),
      cross: certificatePem(cross),
      issuing: decodeCertificates(paths.issuingCertificate).map(certificatePem),
      nextIssuing: certificatePem(await certifyAgain(issuing)),
      stagedAt: now,
    };

    /** The same CA, name and key, below the new root. */
    function certifyAgain({ subject: name, publicKey }: Certificate): Promise<Certificate> {
      return issueIssuingCa({ certificate, signer }, identity, publicKey, now, name);
    }
  },

  settle({ former, next, cross, issuing, nextIssuing }, step) {
    const isUsed = step === "used" || step === "retired";
    const roots = {
      staged: [...former, next],
      used: [next, ...former],
      retired: [next],
      undone: former,
    }[step];
    // Roots first: an issuing CA below none of them is no CA.
    replaceFile(paths.rootCertificate, [...new Set([...roots, next, ...former])].join(""), 0o600);
    const issuers = isUsed ? [nextIssuing, ...issuing.slice(1)] : issuing;
    replaceFile(paths.issuingCertificate, issuers.join(""), 0o600);
    if (step === "used") replaceFile(paths.crossCertificate, cross, 0o600);
    else rmSync(paths.crossCertificate, { force: true });
    replaceFile(paths.rootCertificate, roots.join(""), 0o600);
    if (step === "retired") for (const pem of former) removeCaKey(decode(pem));
    if (step === "undone") removeCaKey(decode(next));
  },

  waitsFor({ stagedAt }, { registry, now }, step) {
    if (step === "used") return undefined; // the cross-certificate leads to both
    const older = registry.ownExpiries(now).filter(({ notBefore }) => notBefore < stagedAt);
    const last = older.at(-1);
    if (last === undefined) return undefined;
    return `${older.length} subjects got their certificate before the new root was handed out, the last of them expires on ${day(last.notAfter)}`;
  },
};

function decode(pem: string): Certificate {
  const [der = new Uint8Array()] = decodePems("CERTIFICATE", pem);
  return decodeCertificate(der);
}
