import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { describe, test } from "node:test";
import { keySigner } from "@wardmq/keys";
import {
  basicConstraints,
  bitString,
  certificateRequest,
  contextTag,
  type Extension,
  element,
  encodeExtension,
  encodeName,
  extendedKeyUsage,
  keyUsage,
  nameConstraints,
  objectIdentifier,
  octetString,
  requestAttributes,
  sequence,
  signatureAlgorithmIdentifier,
  subjectAltName,
  tags,
  unsignedInteger,
} from "@wardmq/x509";
import fc from "fast-check";
import {
  fieldsOf,
  issueRoot,
  randomSerialNumber,
  sha256Hex,
} from "../src/ca/certificate-authority.ts";
import { checkRequest, decodeRequest, hasMlDsa, RequestRefused } from "../src/ca/request-checks.ts";
import { Failure } from "../src/failure.ts";
import { newKey, uuid } from "./control-under-test.ts";

const uri = `spiffe://prod.hospital/device/${uuid}`;
const rootSigner = keySigner(newKey().privateKey);
const root = await issueRoot(encodeName({ commonName: "root" }), rootSigner, Date.now());

/** What control does with a request before it looks anything up or signs. */
function judge(der: Uint8Array, ownKeys: ReadonlySet<string> = new Set()) {
  const request = decodeRequest(der);
  const fields = fieldsOf(
    { certificate: root, signer: rootSigner },
    {
      profile: "device",
      subject: encodeName({ commonName: uuid }),
      subjectAltName: [{ uri }],
      publicKey: request.publicKey,
      serialNumber: randomSerialNumber(),
      now: Date.now(),
    },
  );
  const publicKeyHash = sha256Hex(request.publicKey);
  checkRequest({ request, publicKeyHash, extensions: fields.extensions, ownKeys });
  return request;
}

type Attribute = readonly [oid: string, ...values: Uint8Array[]];

/** A request that asks for whatever a test wants, properly signed. */
function requestWith(...attributes: readonly Attribute[]): Uint8Array {
  const { privateKey } = newKey();
  const { publicKey, sign: signWith } = keySigner(privateKey);
  const info = sequence(
    unsignedInteger(Uint8Array.of(0)),
    encodeName({ commonName: "somebody else" }),
    publicKey,
    element(
      contextTag(0, "constructed"),
      ...attributes.map(([oid, ...values]) =>
        sequence(objectIdentifier(oid), element(tags.set, ...values)),
      ),
    ),
  );
  const algorithm = signatureAlgorithmIdentifier("ecdsa-with-SHA256");
  return sequence(info, algorithm, bitString(signWith(info)));
}

const asksFor = (...extensions: readonly Extension[]): Attribute => [
  requestAttributes.extensionRequest,
  sequence(...extensions.map(encodeExtension)),
];
const password: Attribute = [
  requestAttributes.challengePassword,
  element(tags.printableString, Buffer.from("tls-unique")),
];

const refuses = (der: Uint8Array, check: string, why: RegExp, own?: ReadonlySet<string>) =>
  assert.throws(
    () => judge(der, own),
    (error) => error instanceof RequestRefused && error.check === check && why.test(error.message),
  );

describe("a certificate request", () => {
  const cases: readonly (readonly [string, Uint8Array, string, RegExp])[] = [
    ["to be a CA", requestWith(asksFor(basicConstraints({ ca: true }))), "ca-bits", /to be a CA/],
    [
      "to be a CA beside what it may have",
      requestWith(
        asksFor(subjectAltName([{ uri }]), basicConstraints({ ca: true, pathLenConstraint: 0 })),
      ),
      "ca-bits",
      /to be a CA/,
    ],
    [
      "to sign certificates",
      requestWith(asksFor(keyUsage(["keyCertSign"]))),
      "ca-bits",
      /to be a CA/,
    ],
    [
      "to sign CRLs",
      requestWith(asksFor(keyUsage(["digitalSignature", "cRLSign"]))),
      "ca-bits",
      /to be a CA/,
    ],
    [
      "for name constraints",
      requestWith(asksFor(nameConstraints("hospital.example"))),
      "ca-bits",
      /to be a CA/,
    ],
    [
      "for the identity of somebody else",
      requestWith(asksFor(subjectAltName([{ uri: "spiffe://prod.hospital/service/x" }]))),
      "requested-extensions",
      /subjectAltName/,
    ],
    [
      "for an identity beside its own",
      requestWith(asksFor(subjectAltName([{ uri }, { dns: "mqtt.hospital.example" }]))),
      "requested-extensions",
      /subjectAltName/,
    ],
    [
      "to be a server",
      requestWith(asksFor(extendedKeyUsage(["clientAuth", "serverAuth"]))),
      "requested-extensions",
      /extendedKeyUsage/,
    ],
    [
      "for an extension nobody knows",
      requestWith(asksFor({ oid: "1.2.3.4", critical: false, value: Uint8Array.of(5, 0) })),
      "requested-extensions",
      /the extension 1\.2\.3\.4/,
    ],
    [
      "with an attribute of somebody",
      requestWith(["1.2.3.4", octetString(Uint8Array.of(1))]),
      "requested-attributes",
      /1\.2\.3\.4/,
    ],
    [
      "with an attribute of two values",
      requestWith([
        requestAttributes.challengePassword,
        octetString(Uint8Array.of(1)),
        octetString(Uint8Array.of(2)),
      ]),
      "request",
      /exactly one value/,
    ],
    ["with an attribute twice", requestWith(password, password), "request", /twice/],
    [
      "with one extension twice",
      requestWith(asksFor(keyUsage(["digitalSignature"]), keyUsage(["digitalSignature"]))),
      "request",
      /twice/,
    ],
  ];
  for (const [name, der, check, why] of cases) {
    test(`${name} is refused`, () => refuses(der, check, why));
  }

  test("for one of the deployment's own keys is refused", () => {
    const der = requestWith();
    refuses(der, "own-key", /own/, new Set([sha256Hex(decodeRequest(der).publicKey)]));
  });

  test("that another key signed is refused", async () => {
    const [key, other] = [keySigner(newKey().privateKey), keySigner(newKey().privateKey)];
    refuses(
      await certificateRequest(key.publicKey, other.sign),
      "proof-of-possession",
      /not signed/,
    );
  });

  for (const [name, privateKey] of [
    ["RSA with 4096 bits", generateKeyPairSync("rsa", { modulusLength: 4096 }).privateKey],
    ["P-521", generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey],
  ] as const) {
    test(`with a key of ${name} is refused`, () => {
      const own = new Uint8Array(
        createPublicKey(privateKey).export({ type: "spki", format: "der" }),
      );
      const info = sequence(unsignedInteger(Uint8Array.of(0)), sequence(), own, element(0xa0));
      const algorithm = signatureAlgorithmIdentifier("ecdsa-with-SHA256");
      const signature = new Uint8Array(sign("sha256", info, privateKey));
      refuses(sequence(info, algorithm, bitString(signature)), "key-type", /public key is not/);
    });
  }

  test("of ML-DSA is taken where the runtime knows it, and refused by name elsewhere", async () => {
    if (!hasMlDsa()) {
      // As a device of Node would send it; no runtime without ML-DSA can sign one.
      const identifier = Buffer.from("300b0609608648016503040311", "hex");
      const spki = sequence(identifier, bitString(new Uint8Array(1312)));
      const der = await certificateRequest(spki, () => new Uint8Array(2420));
      refuses(der, "key-type", /ML-DSA-44 is not known to the runtime/);
      return;
    }
    for (const type of ["ml-dsa-44", "ml-dsa-65"] as const) {
      const signer = keySigner(generateKeyPairSync(type as "ed25519").privateKey);
      const request = judge(await certificateRequest(signer.publicKey, signer.sign));
      assert.equal(request.key.type, type.toUpperCase());
    }
  });

  for (const type of ["P-256", "P-384", "Ed25519"] as const) {
    test(`with a ${type} key and nothing else is taken`, async () => {
      const { privateKey } =
        type === "Ed25519"
          ? generateKeyPairSync("ed25519")
          : generateKeyPairSync("ec", { namedCurve: type });
      const signer = keySigner(privateKey);
      assert.deepEqual(
        judge(await certificateRequest(signer.publicKey, signer.sign)).publicKey,
        signer.publicKey,
      );
    });
  }

  test("for exactly what the profile gives, and a challengePassword, is taken", () => {
    judge(
      requestWith(
        password,
        asksFor(
          subjectAltName([{ uri }]),
          keyUsage(["digitalSignature"]),
          extendedKeyUsage(["clientAuth"]),
          basicConstraints({ ca: false }),
        ),
      ),
    );
  });

  test("is refused by name in 10,000 mutated forms, and never taken as another", () => {
    const der = requestWith(password, asksFor(subjectAltName([{ uri }])));
    const change = fc.record({
      at: fc.nat(der.length - 1),
      kind: fc.constantFrom("set", "flip", "remove", "insert", "cut", "double"),
      octet: fc.integer({ min: 0, max: 255 }),
    });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
        const mutated = changes.reduce(mutate, der);
        try {
          judge(mutated);
          assert.deepEqual(mutated, der); // a change may undo another
        } catch (error) {
          assert.ok(error instanceof RequestRefused && error instanceof Failure, String(error));
          refused += 1;
        }
      }),
      { numRuns: 10_000 },
    );
    assert.ok(refused > 9_000);
  });
});

function mutate(
  der: Uint8Array,
  { at, kind, octet }: { at: number; kind: string; octet: number },
): Uint8Array {
  const octets = [...der];
  const here = at % Math.max(1, octets.length);
  if (kind === "set") octets[here] = octet;
  else if (kind === "flip") octets[here] = (octets[here] ?? 0) ^ (1 << (octet % 8));
  else if (kind === "remove") octets.splice(here, 1);
  else if (kind === "insert") octets.splice(here, 0, octet);
  else if (kind === "cut") octets.length = here;
  else octets.splice(here, 0, ...octets.slice(here, here + (octet % 16)));
  return Uint8Array.from(octets);
}
