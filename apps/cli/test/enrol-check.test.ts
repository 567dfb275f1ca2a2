import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { keySigner } from "@wardmq/keys";
import {
  basicConstraints,
  certificate,
  type Extension,
  encodeName,
  extendedKeyUsage,
  subjectAltName,
} from "@wardmq/x509";
import { checkIssued, type Wanted } from "../src/enrol/check.ts";

const hour = 60 * 60 * 1000;
const now = Math.floor(Date.now() / 1000) * 1000;
const id = "6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55";
const uri = `spiffe://prod.hospital-1/device/${id}`;
const newSigner = () => keySigner(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
const [root, issuing, device, stranger] = [newSigner(), newSigner(), newSigner(), newSigner()];
const name = (commonName: string) => encodeName({ commonName });
const authority = [basicConstraints({ ca: true })];
const leaf: readonly Extension[] = [
  basicConstraints({ ca: false }),
  extendedKeyUsage(["clientAuth"]),
  subjectAltName([{ uri }]),
];

interface Made {
  readonly by?: typeof root;
  readonly issuer?: string;
  readonly subject?: string;
  readonly key?: typeof root;
  readonly extensions?: readonly Extension[];
  readonly notBefore?: number;
  readonly notAfter?: number;
}

async function made(of: Made = {}): Promise<X509Certificate> {
  const { by = issuing, issuer = "issuing", subject = "device", key = device } = of;
  const { notBefore = now - hour, notAfter = now + hour, extensions = leaf } = of;
  const fields = {
    serialNumber: Uint8Array.of(1),
    issuer: name(issuer),
    validity: { notBefore, notAfter },
    subject: name(subject),
    publicKey: key.publicKey,
    extensions,
  };
  return new X509Certificate(await certificate(fields, by));
}

const ofRoot = { by: root, issuer: "root", extensions: authority };
const theRoot = await made({ ...ofRoot, subject: "root", key: root });
const theIssuing = await made({ ...ofRoot, subject: "issuing", key: issuing });
const wanted: Wanted = {
  id,
  publicKey: device.publicKey,
  authorities: [theIssuing, theRoot],
  now,
};
const withNames = (...uris: readonly string[]) => [
  ...leaf.slice(0, 2),
  subjectAltName(uris.map((one) => ({ uri: one }))),
];

describe("a certificate that came back is refused", () => {
  const refused: readonly (readonly [string, Made, Partial<Wanted>, RegExp])[] = [
    ["for another key", { key: stranger }, {}, /is for another key/],
    [
      "for a server",
      { extensions: [leaf[0] as Extension, extendedKeyUsage(["serverAuth"]), ...leaf.slice(2)] },
      {},
      /not for a client/,
    ],
    ["for a CA", { extensions: [...authority, ...leaf.slice(1)] }, {}, /not for a client/],
    ["without a name", { extensions: leaf.slice(0, 2) }, {}, /exactly one device/],
    [
      "with a DNS name beside",
      { extensions: [...leaf.slice(0, 2), subjectAltName([{ uri }, { dns: "a.example" }])] },
      {},
      /exactly one device/,
    ],
    ["with two names", { extensions: withNames(uri, uri) }, {}, /exactly one device/],
    [
      "of a service",
      { extensions: withNames("spiffe://prod.hospital-1/service/a") },
      {},
      /exactly one device/,
    ],
    ["of another device", {}, { id: `0${id.slice(1)}` }, /is for another device/],
    ["with another identity than before", {}, { spiffeId: `${uri}0` }, /is for another device/],
    ["that is over", { notAfter: now - 1000 }, {}, /is not valid at the time/],
    ["that has not begun", { notBefore: now + 1000 }, {}, /is not valid at the time/],
    ["signed by somebody else", { by: stranger }, {}, /does not lead to a CA/],
    [
      "below an issuing CA whose root is missing",
      {},
      { authorities: [theIssuing] },
      /does not lead/,
    ],
    ["of a CA that is missing", {}, { authorities: [theRoot] }, /does not lead to a CA/],
  ];
  for (const [what, of, other, says] of refused) {
    test(what, async () => {
      const issued = await made(of);
      assert.throws(() => checkIssued(issued, { ...wanted, ...other }), { message: says });
    });
  }

  test("below a CA that is over", async () => {
    const over = await made({ ...ofRoot, subject: "issuing", key: issuing, notAfter: now - 1000 });
    const issued = await made();
    const check = () => checkIssued(issued, { ...wanted, authorities: [over, theRoot] });
    assert.throws(check, /does not lead to a CA/);
  });
});

test("a certificate for exactly this device comes with its path below the root", async () => {
  const issued = await made();
  const { spiffeId, path } = checkIssued(issued, { ...wanted, spiffeId: uri });
  assert.equal(spiffeId, uri);
  assert.deepEqual(
    path.map(({ fingerprint256 }) => fingerprint256),
    [issued.fingerprint256, theIssuing.fingerprint256],
  );
});
