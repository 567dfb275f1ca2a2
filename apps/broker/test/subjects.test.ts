import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SubjectRecord } from "@wardmq/feed";
import { parsePolicy } from "@wardmq/policy";
import { compilePolicy } from "@wardmq/policy/compile";
import fc from "fast-check";
import { RecordTable } from "../src/enforcement/record-table.ts";
import { Subjects } from "../src/enforcement/subjects.ts";
import { deviceRecord, openPolicy, serviceRecord } from "./broker-parts.ts";

const bound = (fingerprint: string) => ({ fingerprint, notAfter: 1, state: "active" }) as const;
const withCertificates = (name: string, ...fingerprints: readonly string[]): SubjectRecord => ({
  ...serviceRecord(name),
  certificates: fingerprints.map(bound),
});

const originOf = (i: number) => ({ maker: "acme", serial: `${i}` });

describe("the table of records", () => {
  test("is what a Map would be, whatever is put, replaced and removed", () => {
    const names = fc.constantFrom("a", "b", "ab", "c", "service", "x".repeat(64));
    const fingerprints = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 4 });
    const acts = fc.array(fc.tuple(names, fc.option(fingerprints)), { maxLength: 60 });
    fc.assert(
      fc.property(acts, (all) => {
        const table = new RecordTable();
        const model = new Map<string, SubjectRecord>();
        for (const [name, given] of all) {
          if (given === null) {
            table.remove(`service:${name}`);
            model.delete(`service:${name}`);
          } else {
            // No two records have a certificate in common: the registry sees to it.
            const record = {
              ...withCertificates(name, ...given.map((i) => `${name}-${i}`)),
              ...(given[0] === undefined ? {} : { origin: originOf(given[0]) }),
            };
            table.put(record);
            model.set(record.id, record);
          }
        }
        assert.equal(table.size, model.size);
        const byId = (one: SubjectRecord, other: SubjectRecord) => (one.id < other.id ? -1 : 1);
        assert.deepEqual([...table.values()].sort(byId), [...model.values()].sort(byId));
        for (let i = 0; i <= 6; i++) {
          const { serial } = originOf(i);
          const theirs = [...model.values()].filter(({ origin }) => origin?.serial === serial);
          assert.deepEqual([...table.byOrigin(originOf(i))].sort(byId), theirs.sort(byId));
        }
        for (const name of ["a", "b", "ab", "c", "nobody"]) {
          const record = model.get(`service:${name}`);
          assert.deepEqual(table.get(`service:${name}`), record);
          for (let i = 0; i <= 6; i++) {
            const owns = record?.certificates.some((one) => one.fingerprint === `${name}-${i}`);
            assert.deepEqual(table.byFingerprint(`${name}-${i}`), owns ? record : undefined);
          }
        }
      }),
    );
  });

  test("keeps thousands that are replaced again and again, and a record longer than a block", () => {
    const table = new RecordTable();
    const large = withCertificates("large", ...Array.from({ length: 20_000 }, (_, i) => `f-${i}`));
    table.put(large);
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 2_000; i++) table.put(withCertificates(`s${i}`, `${round}-${i}`));
    }
    assert.equal(table.size, 2_001);
    assert.equal(table.byFingerprint("6-7"), undefined);
    assert.equal(table.byFingerprint("7-7")?.id, "service:s7");
    assert.deepEqual(table.get("service:large"), large);
    assert.equal(table.byFingerprint("f-19999")?.id, "service:large");
  });
});

describe("subjects", () => {
  test("are one state for all who hold it, whatever way it was found", () => {
    const subjects = new Subjects();
    subjects.put(withCertificates("a", "f1"));
    const state = subjects.get("service:a");
    assert.equal(subjects.byFingerprint("f1")?.subject, state);
    assert.equal(subjects.put(withCertificates("a", "f2")), state);
    assert.equal(subjects.byFingerprint("f1"), undefined);
    assert.equal(state?.isProvenBy("f2"), true);
  });

  test("that are taken away stay with their holders as revoked ones", () => {
    const subjects = new Subjects();
    subjects.put(withCertificates("a", "f1"));
    const state = subjects.get("service:a");
    assert.equal(subjects.remove("service:a"), state);
    assert.equal(state?.isProvenBy("f1"), false);
    assert.equal(subjects.get("service:a"), undefined);
    subjects.put(withCertificates("a", "f1")); // another one of that name
    assert.equal(state?.isAdmitted, false);
  });

  const before = deviceRecord("1");
  const renewed = { ...before, certificates: [{ ...bound("f1"), state: "revoked" }, bound("f2")] };
  for (const [what, record, keeps] of [
    ["are moved", { ...before, attributes: { ...before.attributes, ward: "er" } }, false],
    ["come into quarantine", { ...before, state: "quarantined" }, false],
    ["are revoked", { ...before, state: "revoked" }, false],
    ["get another certificate", renewed, true],
  ] as const) {
    test(`that ${what} ${keeps ? "keep" : "lose"} the rights that were worked out`, () => {
      const subjects = new Subjects();
      const policy = compilePolicy(parsePolicy(openPolicy));
      subjects.put({ ...before, certificates: [bound("f1")] });
      const state = subjects.get(before.id);
      assert.ok(state);
      const rights = subjects.rightsOf(state, policy, 0);
      assert.equal(subjects.put(record as SubjectRecord), state);
      assert.equal(state.rights, keeps ? rights : undefined);
      assert.equal(state.record, record);
    });
  }

  test("of a new world: only those held and no longer the same are told", () => {
    const subjects = new Subjects();
    for (const name of ["same", "changed", "gone", "unheld"]) {
      subjects.put(withCertificates(name, name));
    }
    const [same, changed, gone] = ["same", "changed", "gone"].map((name) =>
      subjects.get(`service:${name}`),
    );
    const table = new RecordTable();
    table.put(withCertificates("same", "same"));
    table.put({ ...withCertificates("changed", "changed"), state: "revoked" });
    table.put(withCertificates("unheld", "other"));
    assert.deepEqual(subjects.replaceAll(table), new Set([changed, gone]));
    assert.equal(same?.isAdmitted, true);
    assert.equal(changed?.isAdmitted, false);
    assert.equal(gone?.isAdmitted, false);
    assert.equal(subjects.get("service:gone"), undefined);
  });

  const admitted = {
    registered: false,
    active: true,
    quarantined: true,
    retired: false,
    revoked: false,
  };
  for (const [state, is] of Object.entries(admitted)) {
    test(`that are ${state} are ${is ? "" : "not "}let in with their certificate`, () => {
      const subjects = new Subjects();
      subjects.put({ ...withCertificates("a", "f1"), state: state as SubjectRecord["state"] });
      assert.equal(subjects.get("service:a")?.isProvenBy("f1"), is);
    });
  }

  test("have a certificate that counts only while it is active", () => {
    const subjects = new Subjects();
    for (const state of ["superseded", "revoked"] as const) {
      subjects.put({ ...serviceRecord("a"), certificates: [{ ...bound("f1"), state }] });
      assert.equal(subjects.get("service:a")?.isProvenBy("f1"), false);
    }
  });

  test("in quarantine may use their own lifecycle topic, and nothing else that the policy permits", () => {
    const subjects = new Subjects();
    const policy = compilePolicy(parsePolicy(openPolicy));
    subjects.put(deviceRecord("1"));
    subjects.put({ ...deviceRecord("2"), state: "quarantined" });
    subjects.put({ ...serviceRecord("a"), state: "quarantined" });
    const may = (id: string, topic: string) => {
      const subject = subjects.get(id);
      if (subject === undefined) throw new Error(id);
      const rights = subjects.rightsOf(subject, policy, 0);
      return [
        rights.decidePublish(topic).effect,
        rights.decideSubscribe(topic).effect,
        rights.decideReceive(topic).effect,
      ];
    };
    const deny = ["Deny", "Deny", "Deny"];
    const permit = ["Permit", "Permit", "Permit"];
    const own = "hospital/north/icu/device/2";
    for (const topic of ["telemetry", "alarm", "command", "lifecycle/x", "#", "+"]) {
      assert.deepEqual(may("device:2", `${own}/${topic}`), deny, topic);
    }
    for (const topic of ["hospital/north/icu/device/1/lifecycle", "#", "+/+/+/+/+/lifecycle"]) {
      assert.deepEqual(may("device:2", topic), deny, topic);
    }
    assert.deepEqual(may("service:a", "hospital/x"), deny);
    assert.deepEqual(may("device:2", `${own}/lifecycle`), permit);
    assert.deepEqual(may("device:1", `${own}/telemetry`), permit);
    subjects.put(deviceRecord("2")); // released
    assert.deepEqual(may("device:2", `${own}/telemetry`), permit);
  });
});
