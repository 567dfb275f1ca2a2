import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import type { ForeignCa, SubjectRecord } from "@wardmq/feed";
import {
  type Authority,
  type Issued,
  issue,
  type Wanted,
} from "../../../test/support/certificates.ts";
import { ForeignCas, readForeignCas } from "../src/door/foreign-cas.ts";
import { Subjects } from "../src/enforcement/subjects.ts";
import {
  dialRaw,
  dialTls,
  echoes,
  endAll,
  makePki,
  record,
  spiffe,
  startDoor,
  until,
  uuid,
} from "./door-under-test.ts";

const pki = await makePki();
const fleet = await issue(undefined, { commonName: "Acme device CA", isAuthority: true });
const hour = 3_600_000;
const usages = ["clientAuth"] as const;
const good: Wanted = { commonName: uuid(1), usages };
const acme = (changes: Partial<ForeignCa> = {}): ForeignCa => ({
  name: "acme",
  certificate: fleet.pem,
  mapping: { field: "common-name", equals: "uuid" },
  freshUntil: Date.now() + hour,
  revoked: [],
  ...changes,
});
const bySerial = acme({
  mapping: { field: "common-name", equals: "serial", maker: "acme" },
});
const made = (digit: number, serial: string): SubjectRecord => ({
  ...record(digit),
  origin: { maker: "acme", serial },
});
const serialOf = ({ x509 }: Issued) => x509.serialNumber.toLowerCase();

afterEach(endAll);

async function doorOf(ca: ForeignCa | undefined, ...records: readonly SubjectRecord[]) {
  const under = await startDoor(pki);
  for (const one of records) under.subjects.put(one);
  const use = (...all: readonly ForeignCa[]) => {
    under.foreign.use(readForeignCas(all));
    const trustAnchors = [pki.issuing.pem, ...under.foreign.trustAnchors];
    under.door.useCredentials(under.credentials({ trustAnchors }));
  };
  use(...(ca === undefined ? [] : [ca]));
  return { ...under, use };
}

interface Case {
  readonly name: string;
  readonly check: string;
  readonly why: RegExp;
  readonly ca?: Partial<ForeignCa> | null;
  readonly make?: () => Promise<Authority>;
  readonly records?: readonly SubjectRecord[];
}

const revokedOne = await issue(fleet, good);
const subCa = await issue(fleet, { commonName: "Acme sub CA", isAuthority: true });
const refused: readonly Case[] = [
  {
    name: "of another CA with the same name",
    check: "certification-path",
    why: /not accepted/,
    make: async () =>
      issue(await issue(undefined, { commonName: "Acme device CA", isAuthority: true }), good),
  },
  {
    name: "of a CA that nobody has named",
    check: "certification-path",
    why: /not accepted/,
    ca: null,
  },
  {
    name: "of a CA below the foreign one",
    check: "certificate-bound",
    why: /not bound/,
    make: () => issue(subCa, good),
  },
  {
    name: "that has expired",
    check: "certification-path",
    why: /CERT_HAS_EXPIRED/,
    make: () => issue(fleet, { ...good, notBefore: -2 * hour, notAfter: -hour }),
  },
  {
    name: "for servers",
    check: "certification-path",
    why: /INVALID_PURPOSE/,
    make: () => issue(fleet, { ...good, usages: ["serverAuth"] }),
  },
  {
    name: "for no purpose",
    check: "foreign-extended-key-usage",
    why: /acme was refused: its extendedKeyUsage/,
    make: () => issue(fleet, { commonName: uuid(1) }),
  },
  {
    name: "that claims our SPIFFE ID",
    check: "foreign-own-name",
    why: /only its own CA may certify/,
    make: () => issue(fleet, { ...good, names: [{ uri: spiffe(1) }] }),
  },
  {
    name: "that claims a SPIFFE ID of another subject of ours",
    check: "foreign-own-name",
    why: /only its own CA may certify/,
    make: () => issue(fleet, { ...good, names: [{ uri: "spiffe://prod.hospital/operator/eve" }] }),
  },
  {
    name: "for a subject that no record has",
    check: "foreign-mapping",
    why: /no record has the uuid that the commonName of its subject names: 2222/,
    make: () => issue(fleet, { ...good, commonName: uuid(2) }),
  },
  {
    name: "whose subject is no uuid",
    check: "foreign-mapping",
    why: /is no uuid/,
    make: () => issue(fleet, { ...good, commonName: "pump-1" }),
  },
  {
    name: "for a serial number that two records have",
    check: "foreign-mapping",
    why: /2 records have the serial that the commonName/,
    ca: bySerial,
    records: [made(1, uuid(1)), made(2, uuid(1))],
  },
  {
    name: "for a serial number of another maker",
    check: "foreign-mapping",
    why: /no record has the serial/,
    ca: bySerial,
    records: [{ ...record(1), origin: { maker: "other", serial: uuid(1) } }],
  },
  {
    name: "for a revoked subject",
    check: "subject-active",
    why: /is revoked/,
    records: [{ ...record(1), state: "revoked" }],
  },
  {
    name: "for a retired subject",
    check: "subject-active",
    why: /is retired/,
    records: [{ ...record(1), state: "retired" }],
  },
  {
    name: "for a device of another site",
    check: "foreign-site",
    why: /for the site south only/,
    ca: { site: "south" },
  },
  {
    name: "that its CA has revoked",
    check: "foreign-revoked",
    why: /acme has revoked/,
    ca: { revoked: [serialOf(revokedOne)] },
    make: async () => revokedOne,
  },
  {
    name: "while the CRL is too old",
    check: "foreign-crl",
    why: /too old: it was good until 20/,
    ca: { freshUntil: Date.now() - 1 },
  },
  {
    name: "while no CRL was ever read",
    check: "foreign-crl",
    why: /no CRL of acme was ever read/,
    ca: { freshUntil: 0 },
  },
  {
    name: "that was bound to the record and revoked there",
    check: "certificate-active",
    why: /is revoked/,
    make: async () => revokedOne,
    records: [
      {
        ...record(1),
        certificates: [
          { fingerprint: revokedOne.fingerprint, notAfter: 1, state: "revoked", foreignCa: "acme" },
        ],
      },
    ],
  },
];

describe("a certificate of a foreign CA", () => {
  for (const { name, check, why, ca, make, records } of refused) {
    test(`${name} is refused, and a good one beside it is not`, async () => {
      const under = await doorOf(
        ca === null ? undefined : acme(ca ?? {}),
        ...(records ?? [record(1)]),
      );
      const client = make === undefined ? await issue(fleet, good) : await make();
      dialRaw(under.mqtts, pki, client).resume();
      await until(
        () => under.events.length > 0 || under.opened.length > 0,
        () => "the door decides",
      );
      const [event] = under.events;
      assert.equal(under.opened.length, 0, "it was let in");
      assert.equal(event?.type, "handshake-refused");
      assert.equal(event.check, check);
      assert.match(event.why ?? "", why);
      assert.deepEqual(under.used, []);
      under.subjects.put(record(3));
      under.use(acme());
      const neighbour = await issue(fleet, { commonName: uuid(3), usages });
      assert.ok(await echoes(await dialTls(under.mqtts, pki, neighbour), "let in"));
    });
  }

  test("gets in who its commonName names, as that record and no more, and is told of", async () => {
    const under = await doorOf(acme({ site: "north" }), record(1), record(2));
    const client = await issue(fleet, good);
    assert.ok(await echoes(await dialTls(under.mqtts, pki, client), "in"));
    const [{ peer } = assert.fail()] = under.opened;
    assert.equal(peer.subject.id, `device:${uuid(1)}`);
    assert.equal(peer.fingerprint, client.fingerprint);
    assert.equal(peer.notAfter, Date.parse(client.x509.validTo));
    assert.deepEqual(under.used, [client.x509.raw.toString("hex")]);
  });

  for (const keyType of ["P-256", "RSA"] as const) {
    test(`gets in by the serial number of its maker, with a key ${keyType}, where a retired device had it before`, async () => {
      const before = { ...made(2, "SN-7"), state: "retired" } as const;
      const under = await doorOf(bySerial, made(1, "SN-7"), before, made(3, "SN-8"));
      const client = await issue(fleet, { commonName: "SN-7", usages, keyType });
      assert.ok(await echoes(await dialTls(under.mqtts, pki, client), "in"));
      assert.equal(under.opened[0]?.peer.subject.id, `device:${uuid(1)}`);
    });
  }

  test("of ours is as good as before, and what control has bound is not told of again", async () => {
    const [ours, theirs] = [
      await pki.device(1),
      await issue(fleet, { ...good, commonName: uuid(2) }),
    ];
    const bound = record(2, theirs);
    const certificates = bound.certificates.map((one) => ({ ...one, foreignCa: "acme" }));
    const under = await doorOf(acme(), record(1, ours), { ...bound, certificates });
    for (const client of [ours, theirs]) {
      assert.ok(await echoes(await dialTls(under.mqtts, pki, client), "in"));
    }
    assert.deepEqual(under.used, []);
    assert.equal(under.opened[0]?.peer.foreign, undefined);
  });

  test("counts no more when its CA revokes it, goes, or keeps its CRL too old; or when the record says so", async () => {
    const client = await issue(fleet, good);
    const other = await issue(fleet, { ...good, commonName: uuid(2) });
    const changes: readonly [
      string,
      string,
      (under: Awaited<ReturnType<typeof doorOf>>) => void,
    ][] = [
      ["revoked", "foreign-revoked", ({ use }) => use(acme({ revoked: [serialOf(client)] }))],
      ["gone", "foreign-ca", ({ use }) => use()],
      ["another under its name", "foreign-ca", ({ use }) => use(acme({ certificate: subCa.pem }))],
      ["stale", "foreign-crl", ({ use }) => use(acme({ freshUntil: Date.now() - 1 }))],
      ["elsewhere", "foreign-site", ({ use }) => use(acme({ site: "south" }))],
      [
        "retired",
        "subject-active",
        ({ subjects }) => void subjects.put({ ...record(1), state: "retired" }),
      ],
      [
        "bound and revoked",
        "certificate-active",
        ({ subjects }) => {
          const [bound] = record(1, client).certificates;
          assert.ok(bound);
          subjects.put({ ...record(1), certificates: [{ ...bound, state: "revoked" }] });
        },
      ],
    ];
    for (const [name, check, change] of changes) {
      const under = await doorOf(acme(), record(1), record(2));
      for (const one of [client, other]) {
        assert.ok(await echoes(await dialTls(under.mqtts, pki, one), name));
      }
      const [one, two] = under.opened.map(({ peer }) => peer.foreign);
      assert.equal(one?.(), undefined, name);
      change(under);
      assert.equal(one?.()?.check, check, name);
      const isOfAll = ["foreign-ca", "foreign-crl", "foreign-site"].includes(check);
      assert.equal(two?.()?.check, isOfAll ? check : undefined, name);
    }
  });

  test("the end of a CRL is noticed once", () => {
    let now = 1_000;
    const own = { org: "hospital", trustDomain: "test.hospital" };
    const foreign = new ForeignCas({ subjects: new Subjects(), own: () => own, now: () => now });
    foreign.use(readForeignCas([acme({ freshUntil: 2_000 }), acme({ freshUntil: 9_000 })]));
    const noticed = [1_999, 2_000, 2_001, 9_001, 9_002].map((at) => {
      now = at;
      return foreign.becameStale();
    });
    assert.deepEqual(noticed, [false, true, false, true, false]);
  });
});
