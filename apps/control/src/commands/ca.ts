import type { caCommands } from "@wardmq/commands";
import type { Certificate } from "@wardmq/x509";
import { openCaSigner, openRoot } from "../ca/ca-keys.ts";
import { caIdOf, type Issuer } from "../ca/certificate-authority.ts";
import { type Ending, horizonOf } from "../ca/horizon.ts";
import { decodeCertificates } from "../ca/pem-file.ts";
import { type PublishedList, readRevocationList } from "../ca/revocation-lists.ts";
import { paths } from "../deployment.ts";
import type { HandlersOf, Surroundings } from "./handler.ts";

export const caHandlers: HandlersOf<typeof caCommands> = {
  crl: async ({ lists }) => ({ crls: (await lists.publish()).map(asResult) }),
  "root.crl": async ({ lists, revokedCas, registry, record }, _, caller) => {
    const [first, ...others] = decodeCertificates(paths.rootCertificate);
    const roots = [openRoot(first), ...others.flatMap(whoseKeyIsHere)];
    const crls: PublishedList[] = [];
    for (const root of roots) crls.push(await lists.publishOfRoot(root, revokedCas.list()));
    registry.recordChange("root.crl", caller);
    for (const { caId, crlNumber, revoked } of crls) {
      const details = { actor: caller.actor, ca: caId, crlNumber, revoked };
      record({ type: "root-crl-signed", details });
    }
    return { crls: crls.map(asResult) };
  },
  horizon: (on, _, { at }) => ({ days: horizonOf(endingsOf(on, at)) }),
};

function asResult({ caId, der, ...rest }: PublishedList) {
  return { ca: caId, ...rest, der: Buffer.from(der).toString("base64") };
}

/** While a root is replaced there are two, and clients of either. */
function whoseKeyIsHere(root: Certificate): readonly Issuer[] {
  const signer = openCaSigner(root);
  return signer === undefined ? [] : [{ certificate: root, signer }];
}

/** Everything of the deployment that ends. */
function endingsOf({ registry, authority, servers }: Surroundings, now: number): readonly Ending[] {
  const { issuers } = authority();
  const roots = decodeCertificates(paths.rootCertificate);
  const certificates = (of: Ending["class"], path: string) =>
    decodeCertificates(path).map(({ validity }) => ({ class: of, notAfter: validity.notAfter }));
  const shown = servers.shown();
  const newest = servers.issued.newest?.validity; // for when no broker is there to say what it shows
  const ofBrokers = shown.length > 0 || newest === undefined ? shown : [newest];
  return [
    ...registry.expiries(now).map(({ kind, notAfter }) => ({ class: kind, notAfter })),
    ...ofBrokers.map(({ notAfter }) => ({ class: "server" as const, notAfter })),
    ...certificates("issuing CA", paths.issuingCertificate),
    ...certificates("root CA", paths.rootCertificate),
    ...[...issuers, ...roots].flatMap((ca) => {
      const list = readRevocationList(caIdOf(ca));
      return list === undefined ? [] : [{ class: "CRL" as const, notAfter: list.nextUpdate }];
    }),
  ];
}
