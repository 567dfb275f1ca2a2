import { replaceFile } from "@wardmq/keys";
import {
  type Certificate,
  decodeCertificate,
  decodePems,
  encodeName,
  isConstrainableTrustDomain,
} from "@wardmq/x509";
import { paths } from "../deployment.ts";
import type { DeploymentIdentity } from "../registry/registry.ts";
import { makeCaKey, openCaSigner, openRoot, removeCaKey } from "./ca-keys.ts";
import {
  caIdOf,
  certificatePem,
  type Issuer,
  isIssuedBy,
  issue,
  keyIdentifierOf,
  randomSerialNumber,
} from "./certificate-authority.ts";
import { day, decodeCertificates } from "./pem-file.ts";
import type { Rotation } from "./rotations.ts";

interface Detail {
  /** PEM of the issuing CAs as they stood, the one that signed first. */
  readonly former: readonly string[];
  readonly next: string;
}

export const issuingCaRotation: Rotation<Detail> = {
  meaning: {
    idle: "one issuing CA signs",
    staged: "brokers trust the new issuing CA; the former one still signs",
    used: "the new issuing CA signs; what the former one signed is still good",
  },

  async stage({ identity, now }) {
    const [root] = decodeCertificates(paths.rootCertificate);
    const former = decodeCertificates(paths.issuingCertificate);
    const signingRoot = openRoot(root); // before a key is made for nothing
    const { publicKey } = makeCaKey(former[0]);
    const next = await issueIssuingCa(signingRoot, identity, publicKey, now);
    return { former: former.map(certificatePem), next: certificatePem(next) };
  },

  settle({ former, next }, step) {
    const order = {
      staged: [...former, next],
      used: [next, ...former],
      retired: [next],
      undone: former,
    }[step];
    replaceFile(paths.issuingCertificate, order.join(""), 0o600);
    if (step === "retired") for (const pem of former) removeCaKey(decode(pem));
    if (step === "undone") removeCaKey(decode(next));
  },

  async signLast({ former }, { lists }) {
    for (const pem of former) {
      const certificate = decode(pem);
      const signer = openCaSigner(certificate);
      if (signer !== undefined) await lists.publishLast({ certificate, signer });
    }
  },

  waitsFor({ former: pems }, { registry, servers, now }, next) {
    if (next === "used") return undefined; // brokers hear of all changes in their order
    const former = pems.map(decode);
    if (servers.some((one) => former.some((ca) => isIssuedBy(one, ca))))
      return "a broker still shows a certificate that is signed by it, and gets another one by itself";
    const ids = new Set(former.map(caIdOf));
    const active = registry.expiries(now).filter(({ issuer }) => ids.has(issuer));
    const last = active.at(-1);
    if (last === undefined) return undefined;
    return `${active.length} active certificates are signed by it, the last until ${day(last.notAfter)}`;
  },
};

/** A CA that may sign what names this deployment's trust domain, and no further CA. */
export async function issueIssuingCa(
  root: Issuer,
  { org, environment, trustDomain }: DeploymentIdentity,
  publicKey: Uint8Array,
  now: number,
  subject = encodeName({
    organizationName: org,
    organizationalUnitName: environment,
    // Two CAs of one name would be told apart by their key identifiers alone, which not every TLS library reads.
    commonName: `WardMQ issuing CA ${Buffer.from(keyIdentifierOf(publicKey)).toString("hex", 0, 4)}`,
  }),
): Promise<Certificate> {
  return issue(root, {
    profile: "issuingCa",
    subject,
    publicKey,
    ...(isConstrainableTrustDomain(trustDomain) ? { permittedUriHost: trustDomain } : {}),
    serialNumber: randomSerialNumber(),
    now,
  });
}

function decode(pem: string): Certificate {
  const [der = new Uint8Array()] = decodePems("CERTIFICATE", pem);
  return decodeCertificate(der);
}
