import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import fc from "fast-check";
import { Failure } from "../src/failure.ts";
import { type Edit, Registry } from "../src/registry/registry.ts";
import {
  afterTransition,
  type NewSubject,
  type RegisteredSubject,
  type TransitionName,
  transitions,
} from "../src/registry/rows.ts";
import { isFound, type Query } from "../src/registry/search.ts";
import { TestFolder, uuid } from "./control-under-test.ts";

const identity = { org: "Hospital_1", environment: "prod", trustDomain: "prod.hospital_1" };
const doing = (at: number, reason?: string) => ({
  actor: `uid:${at}`,
  at,
  ...(reason === undefined ? {} : { reason }),
});
const dashboard = {
  id: "service:dashboard",
  kind: "service",
  attributes: { org: "Hospital_1", id: "dashboard" },
  spiffeId: "spiffe://prod.hospital_1/service/dashboard",
} as const;
const monitor: NewSubject = {
  id: `device:${uuid}`,
  kind: "device",
  attributes: { org: "Hospital_1", site: "main", ward: "icu", model: "bsm-100", id: uuid },
  spiffeId: `spiffe://prod.hospital_1/device/${uuid}`,
  details: { maker: "Acme Medical", serial: "SN 0001/26", owner: "Biomed" },
  tags: ["loaner"],
};
const certificate = (number: number, subject = dashboard.id as string) => ({
  subject,
  fingerprint: `f${number}`,
  serialNumber: `s${number}`,
  issuer: "ca",
  publicKeyHash: `k${number}`,
  notBefore: 0,
  notAfter: 10,
  der: Buffer.from(`certificate ${number}`),
});
const day = 24 * 60 * 60 * 1000;

class TestRegistry implements Disposable {
  readonly folder = new TestFolder();
  readonly path = join(this.folder.path, "registry.db");
  readonly keys: { ring: KeyRing; store: string };
  registry: Registry;

  constructor() {
    const key = newDataKey();
    this.keys = { ring: new KeyRing([key], key.id), store: "a store" };
    Registry.create(this.path, identity, this.keys, doing(0));
    this.registry = Registry.open(this.path, this.keys);
  }

  reopen(): Registry {
    this.registry.close();
    this.registry = Registry.open(this.path, this.keys);
    return this.registry;
  }

  change(sql: string): void {
    this.registry.close();
    const database = new DatabaseSync(this.path);
    database.exec(sql);
    database.close();
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

const refuses = (work: () => unknown, code: string) =>
  assert.throws(work, (error) => error instanceof Failure && error.code === code);

const statesOf = (subject: RegisteredSubject | undefined) =>
  subject?.certificates.map(({ state }) => state);

describe("the registry", () => {
  test("says of whom nobody knows which command lists those of its kind", () => {
    using at = new TestRegistry();
    for (const [id, command] of [
      ["operator:nobody", "wardmq operator list DIR"],
      ["service:nobody", "wardmq list DIR"],
    ] as const) {
      assert.throws(
        () => at.registry.editSubject(id, {}, doing(1)),
        (error) => error instanceof Failure && error.hint === `${command} shows who exists`,
      );
    }
  });

  for (const [name, sql] of [
    ["of another form", "PRAGMA user_version = 99"],
    [
      "whose rows were exchanged",
      "UPDATE subjects AS one SET sealed = (SELECT sealed FROM subjects AS other WHERE other.number = 3 - one.number)",
    ],
    [
      "of which a line of history was taken",
      "DROP TRIGGER history_stays; DELETE FROM history WHERE number = 2",
    ],
    ["without what it is for", "DELETE FROM deployment"],
  ] as const) {
    test(`does not open a file ${name}`, () => {
      using at = new TestRegistry();
      at.registry.addSubject(dashboard, doing(1));
      at.registry.addSubject(monitor, doing(1));
      at.change(sql);
      refuses(() => Registry.open(at.path, at.keys), "ERR_REGISTRY");
    });
  }

  test("does not open with another key", () => {
    using at = new TestRegistry();
    at.registry.close();
    const key = newDataKey();
    const keys = { ring: new KeyRing([key], key.id), store: "a store" };
    refuses(() => Registry.open(at.path, keys), "ERR_REGISTRY");
  });

  test("does nothing of what was to happen together when one part fails", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    const fails = () =>
      at.registry.together(() => {
        at.registry.addSubject(monitor, doing(2));
        at.registry.recordCertificate(certificate(1), doing(2));
        throw new Error("the disk is full");
      });
    assert.throws(fails, /the disk is full/);
    for (const open of [() => at.registry, () => at.reopen()]) {
      const registry = open();
      assert.equal(registry.subject(monitor.id), undefined);
      assert.equal(registry.subject(dashboard.id)?.state, "registered");
      assert.equal(registry.certificateStatus("ca", "s1"), undefined);
      registry.refuseUsedKey("k1", monitor.id); // nobody has it
      assert.equal(registry.history(undefined, 10).length, 2);
    }
    at.registry.addSubject(monitor, doing(3));
    assert.ok(at.reopen().subject(monitor.id));
  });

  test("does what happens together but for the part that is refused", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    at.registry.together(() => {
      at.registry.recordCertificate(certificate(1), doing(2));
      refuses(() => at.registry.addSubject(dashboard, doing(2)), "ERR_SUBJECT_EXISTS");
      at.registry.addSubject(monitor, doing(2));
    });
    const { registry } = at;
    assert.deepEqual(at.reopen().subjects(), registry.subjects());
    assert.deepEqual(statesOf(at.registry.subject(dashboard.id)), ["active"]);
    assert.ok(at.registry.subject(monitor.id));
  });

  test("has nothing in the clear on the disk", () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
    at.registry.move([monitor.id], "quarantine", doing(3, "stolen from ward 7"));
    const files = ["", "-wal", "-shm"].map((end) => readFileSync(at.path + end, "latin1")).join("");
    assert.ok(files.length > 10_000);
    const words = [
      "Hospital_1",
      uuid,
      "bsm-100",
      "Acme",
      "SN 0001",
      "loaner",
      "icu",
      "spiffe",
      "stolen",
      "uid:",
      "quarantine",
      "certificate 1",
    ];
    assert.deepEqual(
      words.filter((word) => files.includes(word)),
      [],
    );
    at.registry.close();
  });

  test("gives back all of a record after it was opened again", () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    const before = at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
    assert.deepEqual(at.reopen().subject(monitor.id), before);
    assert.deepEqual(at.registry.identity, identity);
    at.registry.addSubject(dashboard, doing(3));
    assert.deepEqual(at.reopen().subject(monitor.id), before);
    at.registry.close();
  });

  test("is sealed again under a new key while it is used, its history too, and needs the former one no more", async () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
    const next = newDataKey();
    const former = at.keys.ring.currentId;
    at.keys.ring.rotate(next);
    const resealed = at.registry.reseal();
    at.registry.addSubject(dashboard, doing(3));
    await resealed;
    at.keys.ring.forget(former);
    const registry = at.reopen();
    assert.deepEqual(
      registry.subjects().map(({ id }) => id),
      [monitor.id, dashboard.id],
    );
    assert.equal(registry.history(undefined, 100).length, 4);
    assert.equal(
      registry.addSubject({ ...dashboard, id: "service:b" }, doing(4)).state,
      "registered",
    );
    registry.close();
    const database = new DatabaseSync(at.path);
    assert.throws(() => database.exec("UPDATE history SET subject = 1"), /only added to/);
    database.close();
  });

  test("adds all of a batch, or none when one is refused", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    refuses(() => at.registry.addSubjects([monitor, dashboard], doing(2)), "ERR_SUBJECT_EXISTS");
    assert.equal(at.registry.subject(monitor.id), undefined);
    assert.equal(at.reopen().subject(monitor.id), undefined);
    at.registry.close();
  });

  test("binds no certificate to a subject that was revoked while it was signed, and keeps nothing of it", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    at.registry.revokeSubject(dashboard.id, doing(2));
    const bind = () => at.registry.recordCertificate(certificate(1), doing(3));
    refuses(bind, "ERR_SUBJECT_REVOKED");
    assert.deepEqual(at.registry.subject(dashboard.id)?.certificates, []);
    at.registry.close();
  });

  test("binds no key twice, whoever comes first, and never one that was revoked", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    at.registry.addSubject(monitor, doing(1));
    at.registry.recordCertificate(certificate(1), doing(2));
    const again = { ...certificate(2, monitor.id), publicKeyHash: "k1" };
    refuses(() => at.registry.recordCertificate(again, doing(3)), "ERR_KEY_IN_USE");
    at.registry.revokeSubject(dashboard.id, doing(4));
    refuses(() => at.reopen().recordCertificate(again, doing(5)), "ERR_KEY_REVOKED");
    at.registry.addSubject(dashboard, doing(6));
    const own = { ...certificate(3), publicKeyHash: "k1" };
    refuses(() => at.registry.recordCertificate(own, doing(7)), "ERR_KEY_REVOKED");
    at.registry.close();
  });

  test("knows who changed what from what to what, when and why, and lets nobody rewrite it", () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    at.registry.recordIntent(monitor.id, "s1", "k1", doing(2));
    at.registry.recordCertificate(certificate(1, monitor.id), doing(3));
    at.registry.editSubject(monitor.id, { ward: "er", owner: null }, doing(4, "moved"));
    at.registry.editSubject(monitor.id, { ward: "er" }, doing(5, "nothing new"));
    at.registry.revokeSubject(monitor.id, doing(6, "lost"));
    at.registry.revokeSubject(monitor.id, doing(7));
    const history = at.reopen().history(monitor.id, 100);
    assert.deepEqual(
      history.map((line) => [line.at, line.actor, line.action, line.reason]),
      [
        [1, "uid:1", "subject.add", undefined],
        [2, "uid:2", "certificate.intent", undefined],
        [3, "uid:3", "certificate.issue", undefined],
        [4, "uid:4", "subject.edit", "moved"],
        [6, "uid:6", "subject.revoke", "lost"],
      ],
    );
    assert.deepEqual(history[3]?.details["changed"], {
      ward: ["icu", "er"],
      owner: ["Biomed", null],
    });
    assert.deepEqual(at.registry.history(monitor.id, 2), history.slice(-2));
    assert.equal(at.registry.history(undefined, 100).length, 6); // with that of init
    at.registry.close();
    const database = new DatabaseSync(at.path);
    assert.throws(() => database.exec("UPDATE history SET subject = 1"), /only added to/);
    assert.throws(() => database.exec("DELETE FROM history"), /only added to/);
    database.close();
  });
});

describe("the state of a subject", () => {
  const names = Object.keys(transitions) as TransitionName[];

  for (const state of ["registered", "active", "quarantined", "retired", "revoked"] as const) {
    test(`that is ${state} changes by its ways only`, () => {
      const subject = { ...monitor, state, certificates: [] } as unknown as RegisteredSubject;
      const ways = names.filter((name) => afterTransition(subject, name, doing(1)) !== undefined);
      const expected = {
        registered: ["activate", "quarantine", "retire", "revoke"],
        active: ["quarantine", "retire", "revoke"],
        quarantined: ["release", "retire", "revoke"],
        retired: ["add"],
        revoked: ["add"],
      };
      assert.deepEqual(ways, expected[state]);
    });
  }

  test("is active from its first certificate on, and a certificate leads nobody out of quarantine", () => {
    using at = new TestRegistry();
    assert.equal(at.registry.addSubject(monitor, doing(1)).state, "registered");
    assert.equal(
      at.registry.recordCertificate(certificate(1, monitor.id), doing(2)).state,
      "active",
    );
    at.registry.move([monitor.id], "quarantine", doing(3));
    const renewed = at.registry.recordCertificate(certificate(2, monitor.id), doing(4));
    assert.equal(renewed.state, "quarantined");
    const [released] = at.registry.move([monitor.id], "release", doing(5));
    assert.equal(released?.state, "active");
    at.registry.close();
  });

  test("after a release is what it was without a certificate", () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    at.registry.move([monitor.id], "quarantine", doing(2));
    assert.equal(at.registry.move([monitor.id], "release", doing(3))[0]?.state, "registered");
    at.registry.close();
  });

  test("goes to its end with all certificates, which do not come back with it", () => {
    for (const way of ["retire", "revoke"] as const) {
      using at = new TestRegistry();
      at.registry.addSubject(monitor, doing(1));
      at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
      const [ended] = at.registry.move([monitor.id], way, doing(3));
      assert.deepEqual(statesOf(ended), ["revoked"]);
      const again = at.registry.addSubject(monitor, doing(4));
      assert.deepEqual([again.state, statesOf(again)], ["registered", ["revoked"]]);
      assert.deepEqual(at.registry.revokedCertificates("ca", 0), [
        { serialNumber: "s1", revokedAt: 3, state: "revoked" },
      ]);
      at.registry.close();
    }
  });

  test("changes for all that are chosen together; those that have no way there stay out", () => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    at.registry.addSubject(dashboard, doing(1));
    at.registry.revokeSubject(dashboard.id, doing(2));
    const moved = at.registry.move([monitor.id, dashboard.id], "quarantine", doing(3));
    assert.deepEqual(
      moved.map(({ id }) => id),
      [monitor.id],
    );
    assert.equal(at.registry.subject(dashboard.id)?.state, "revoked");
    at.registry.close();
  });
});

describe("the certificates of a device", () => {
  const twoOf = (at: TestRegistry) => {
    at.registry.addSubject(monitor, doing(1));
    at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
    return at.registry.recordCertificate(certificate(2, monitor.id), doing(3));
  };

  test("are two while it changes over; the older ends when the newer is seen in use", () => {
    using at = new TestRegistry();
    assert.deepEqual(statesOf(twoOf(at)), ["active", "active"]);
    assert.equal(at.registry.certificateUsed("f1", doing(4)), undefined);
    assert.equal(at.registry.certificateUsed("unknown", doing(4)), undefined);
    assert.deepEqual(statesOf(at.registry.certificateUsed("f2", doing(5))), [
      "superseded",
      "active",
    ]);
    assert.equal(at.registry.certificateUsed("f2", doing(6)), undefined);
    assert.deepEqual(at.registry.certificateStatus("ca", "s1"), {
      state: "superseded",
      changedAt: 5,
    });
    at.registry.close();
  });

  test("are never three: the oldest ends", () => {
    using at = new TestRegistry();
    twoOf(at);
    const third = at.registry.recordCertificate(certificate(3, monitor.id), doing(4));
    assert.deepEqual(statesOf(third), ["superseded", "active", "active"]);
    at.registry.close();
  });

  test("are one again after seven days, used or not", () => {
    using at = new TestRegistry();
    twoOf(at);
    assert.deepEqual(at.registry.endChangeOvers(doing(3 + 7 * day - 1)), []);
    const [ended] = at.registry.endChangeOvers(doing(3 + 7 * day));
    assert.deepEqual(statesOf(ended), ["superseded", "active"]);
    at.registry.close();
  });

  test("of a service are one for each place it runs in: no number ends any", () => {
    using at = new TestRegistry();
    at.registry.addSubject(dashboard, doing(1));
    for (const i of [1, 2, 3]) at.registry.recordCertificate(certificate(i), doing(i + 1));
    assert.equal(at.registry.certificateUsed("f3", doing(5)), undefined);
    assert.deepEqual(at.registry.endChangeOvers(doing(100 * day)), []);
    assert.deepEqual(statesOf(at.registry.subject(dashboard.id)), ["active", "active", "active"]);
    at.registry.close();
  });
});

describe("the position of a history", () => {
  test("is no other registry's, no later one's and no damaged one's, but its own and every former one", async () => {
    using at = new TestRegistry();
    const first = at.registry.position;
    at.registry.recordChange("reload", doing(1));
    const second = at.registry.position;
    at.registry.recordChange("reload", doing(2));
    const third = at.registry.position;
    const known = (registry: Registry) =>
      [first, second, third].map((position) => registry.hasBeenAt(position));
    assert.deepEqual(known(at.reopen()), [true, true, true]);
    assert.equal(at.registry.position, third);
    at.keys.ring.rotate(newDataKey());
    await at.registry.reseal();
    assert.deepEqual(known(at.registry), [true, true, true]);

    using other = new TestRegistry();
    for (const n of [3, 4, 5]) other.registry.recordChange("reload", doing(n));
    assert.deepEqual(known(other.registry), [true, false, false]); // both were made by the same line
    for (const text of ["", "3", "99 ab", "x"]) assert.ok(!at.registry.hasBeenAt(text), text);
  });
});

describe("a search", () => {
  const found = (query: Query) => {
    using at = new TestRegistry();
    at.registry.addSubject(monitor, doing(1));
    const subject = at.registry.recordCertificate(certificate(1, monitor.id), doing(2));
    at.registry.close();
    return isFound(subject, query);
  };
  const queries: readonly (readonly [Query, Query])[] = [
    [{ kind: "device" }, { kind: "service" }],
    [{ state: "active" }, { state: "registered" }],
    [{ site: "main" }, { site: "mai" }],
    [{ ward: "icu" }, { ward: "er" }],
    [{ model: "bsm-100" }, { model: "bsm" }],
    [{ maker: "Acme Medical" }, { maker: "Acme" }],
    [{ serial: "SN 0001/26" }, { serial: "SN" }],
    [{ owner: "Biomed" }, { owner: "" }],
    [{ tag: "loaner" }, { tag: "loan" }],
    [{ prefix: uuid.slice(0, 8) }, { prefix: uuid.slice(1, 8) }],
    [{ prefix: "SN 0" }, { prefix: "N 0" }],
    [{ expiringBefore: 11 }, { expiringBefore: 10 }],
    [{ ca: "ca" }, { ca: "another" }],
    [
      { ward: "icu", tag: "loaner" },
      { ward: "icu", tag: "other" },
    ],
    [{}, { ward: "icu", state: "revoked" }],
  ];
  for (const [is, isNot] of queries) {
    test(`finds by ${JSON.stringify(is)}, and not by ${JSON.stringify(isNot)}`, () => {
      assert.deepEqual([found(is), found(isNot)], [true, false]);
    });
  }
});

test("an edit changes what it names and nothing else, whatever it names", () => {
  using at = new TestRegistry();
  at.registry.addSubject(monitor, doing(1));
  const text = fc.option(fc.constantFrom("a", "b", "icu"));
  const edits = fc.record(
    { model: text, maker: text, serial: text, owner: text, ward: fc.constantFrom("icu", "er") },
    { requiredKeys: [] },
  );
  let clock = 1;
  fc.assert(
    fc.property(edits, (edit) => {
      const before = at.registry.subject(monitor.id) as RegisteredSubject;
      clock += 1;
      const after = at.registry.editSubject(monitor.id, edit as Edit, doing(clock));
      const was: Record<string, string> = { ...before.attributes, ...before.details };
      for (const [name, value] of Object.entries(edit)) {
        if (value === null) delete was[name];
        else was[name] = value;
      }
      assert.deepEqual({ ...after.attributes, ...after.details }, was);
      assert.deepEqual([after.tags, after.state], [before.tags, before.state]);
    }),
    { numRuns: 50 },
  );
  at.registry.close();
});

describe("ids in pages", () => {
  test("come in order, each once, wherever a page begins", () => {
    using at = new TestRegistry();
    const names = ["b", "a", "d", "c"];
    at.registry.addSubjects(
      names.map((id) => ({ ...dashboard, id: `service:${id}` })),
      doing(1),
    );
    assert.deepEqual(
      at.registry.idsAfter(""),
      ["a", "b", "c", "d"].map((id) => `service:${id}`),
    );
    assert.deepEqual(at.registry.idsAfter("service:b"), ["service:c", "service:d"]);
    assert.deepEqual(at.registry.idsAfter("service:bb"), ["service:c", "service:d"]);
    assert.deepEqual(at.registry.idsAfter("service:d"), []);
    at.registry.close();
  });
});
