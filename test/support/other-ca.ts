import { randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";
import { certificateList, encodePem, encodeRevoked } from "@wardmq/x509";
import { type Authority, type Issued, issue, type Wanted } from "./certificates.ts";

const hourMs = 3_600_000;

/** A CA that is not ours, and the CRLs it publishes. */
export class OtherCa {
  readonly authority: Authority;
  crlNumber = 0;

  private constructor(authority: Authority) {
    this.authority = authority;
  }

  static async make(commonName = "Acme device CA"): Promise<OtherCa> {
    return new OtherCa(await issue(undefined, { commonName, isAuthority: true }));
  }

  get pem(): string {
    return this.authority.pem;
  }

  device(commonName: string, wanted: Partial<Wanted> = {}): Promise<Issued> {
    return issue(this.authority, { commonName, usages: ["clientAuth"], ...wanted });
  }

  /** The next CRL, in DER. */
  crl(
    revoked: readonly Issued[] = [],
    {
      lifeMs = hourMs,
      ageMs = 1_000,
      by = this.authority,
      number = this.crlNumber + 1,
    }: {
      readonly lifeMs?: number;
      readonly ageMs?: number;
      readonly by?: Authority;
      readonly number?: number;
    } = {},
  ): Promise<Uint8Array> {
    this.crlNumber = Math.max(this.crlNumber, number);
    const thisUpdate = Date.now() - ageMs;
    return certificateList(
      {
        issuer: this.authority.name,
        authorityKeyIdentifier: randomBytes(20),
        crlNumber: number,
        thisUpdate,
        nextUpdate: thisUpdate + lifeMs,
        scope: "userCertificates",
        revoked: [
          encodeRevoked(
            revoked.map(({ x509 }) => ({
              serialNumber: x509.serialNumber,
              revocationDate: thisUpdate,
              reason: "keyCompromise",
            })),
          ),
        ],
      },
      {
        algorithm: "ecdsa-with-SHA256",
        publicKey: by.publicKey,
        sign: (tbs) => sign("sha256", tbs, by.privateKey),
      },
    );
  }
}

export const crlPem = (der: Uint8Array) => encodePem("X509 CRL", der);

/** A web server on the loopback that answers as the test says. */
export interface CrlServer extends AsyncDisposable {
  readonly url: string;
  /** What the next requests get; a string is where they are redirected to. */
  answer: Uint8Array | string | number;
  asked: number;
}

export async function serveCrl(): Promise<CrlServer> {
  const server = createServer((_, response) => {
    served.asked += 1;
    const { answer } = served;
    if (typeof answer === "number") response.writeHead(answer).end();
    else if (typeof answer === "string") response.writeHead(302, { location: answer }).end();
    else response.writeHead(200, { "content-type": "application/pkix-crl" }).end(answer);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  const served: CrlServer = {
    url: `http://127.0.0.1:${address.port}/devices.crl`,
    answer: 404,
    asked: 0,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return served;
}
