import type { caCommands } from "@wardmq/commands";
import { caIdOf } from "../ca/certificate-authority.ts";
import { type Ending, horizonOf } from "../ca/horizon.ts";
import { decodeCertificates } from "../ca/pem-file.ts";
import { readRevocationList } from "../ca/revocation-lists.ts";
import { paths } from "../deployment.ts";
import type { HandlersOf, Surroundings } from "./handler.ts";

export const caHandlers: HandlersOf<typeof caCommands> = {
  crl: async ({ lists }) => {
    const published = await lists.publish();
    return {
      crls: published.map(({ caId, der, ...rest }) => ({
        ca: caId,
        ...rest,
        der: Buffer.from(der).toString("base64"),
      })),
    };
  },
  horizon: (on, _, { at }) => ({ days: horizonOf(endingsOf(on, at)) }),
};

/** Everything of the deployment that ends. */
function endingsOf({ registry, authority, servers }: Surroundings, now: number): readonly Ending[] {
  const { issuers } = authority();
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
    ...issuers.flatMap((ca) => {
      const list = readRevocationList(caIdOf(ca));
      return list === undefined ? [] : [{ class: "CRL" as const, notAfter: list.nextUpdate }];
    }),
  ];
}
