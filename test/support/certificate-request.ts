import { generateKeyPairSync, sign } from "node:crypto";

/** A new P-256 key and the PKCS#10 request for it (RFC 2986), both in PEM, as a device would make them. */
export function newCertificateRequest(): { key: string; request: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const information = der(
    0x30,
    der(0x02, Buffer.from([0])), // version v1
    der(0x30), // an empty subject: the identity is control's to decide
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa0), // no attributes
  );
  const ecdsaWithSha256 = der(0x30, der(0x06, Buffer.from("2a8648ce3d040302", "hex")));
  const signature = sign("sha256", information, privateKey);
  const request = der(
    0x30,
    information,
    ecdsaWithSha256,
    der(0x03, Buffer.concat([Buffer.from([0]), signature])),
  );
  const key = privateKey.export({ type: "pkcs8", format: "pem" });
  return { key: String(key), request: pem("CERTIFICATE REQUEST", request) };
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function pem(label: string, contents: Buffer): string {
  const body = contents.toString("base64").replace(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
}
