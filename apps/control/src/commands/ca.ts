import type { caCommands } from "@wardmq/commands";
import { caIdOf } from "../ca/certificate-authority.ts";
import { type Ending, horizonOf } from "../ca/horizon.ts";
import { readRevocationList } from "../ca/revocation-lists.ts";
import { decodeCertificates } from "../ca/server-certificate.ts";
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
function endingsOf({ registry, authority }: Surroundings, now: number): readonly Ending[] {
  const { issuers } = authority();
  const certificates = (of: Ending["class"], path: string) =>
    decodeCertificates(path).map(({ validity }) => ({ class: of, notAfter: validity.notAfter }));
  const [server] = certificates("server", paths.serverCertificate);
  return [
    ...registry.expiries(now).map(({ kind, notAfter }) => ({ class: kind, notAfter })),
    ...(server === undefined ? [] : [server]),
    ...certificates("issuing CA", paths.issuingCertificate),
    ...certificates("root CA", paths.rootCertificate),
    ...issuers.flatMap((ca) => {
      const list = readRevocationList(caIdOf(ca));
      return list === undefined ? [] : [{ class: "CRL" as const, notAfter: list.nextUpdate }];
    }),
  ];
}
