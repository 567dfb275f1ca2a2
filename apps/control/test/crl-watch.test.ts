import assert from "node:assert/strict";
import { afterEach, before, beforeEach, describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import { decodeCertificate, decodePem } from "@wardmq/x509";
import { OtherCa } from "../../../test/support/other-ca.ts";
import { CrlUnavailable } from "../src/foreign/crl-source.ts";
import { CrlWatch, type Watched } from "../src/foreign/crl-watch.ts";
import { TestFolder } from "./control-under-test.ts";

const hourMs = 3_600_000;

describe("a watched CRL", () => {
  let ca: OtherCa;
  let acme: Watched;
  before(async () => {
    ca = await OtherCa.make();
    const certificate = decodeCertificate(decodePem("CERTIFICATE", ca.pem));
    acme = { name: "acme", ca: certificate, source: "http://acme.example/devices.crl" };
  });

  let folder: TestFolder;
  let nowMs: number;
  let answer: () => Promise<Uint8Array>;
  let events: Omit<SecurityEvent, "at">[];
  let watch: CrlWatch;
  beforeEach(() => {
    folder = new TestFolder();
    nowMs = Date.now();
    events = [];
    watch = new CrlWatch({
      kind: "foreign CA",
      pathOf: (name) => folder.in(`${name}.crl`),
      now: () => nowMs,
      record: (event) => events.push(event),
      changed: () => {},
      read: () => answer(),
    });
  });
  afterEach(() => folder[Symbol.dispose]());
  const alarms = () => events.filter(({ type }) => type === "crl-stale").map(({ check }) => check);

  test("raises no alarm while it is read for the first time", async () => {
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    answer = () => promise;
    const begun = watch.begin(acme);
    await watch.look();
    resolve(await ca.crl());
    await begun;
    await watch.look();
    assert.deepEqual(alarms(), []);
  });

  test("raises the alarm where none was kept and none can be read", async () => {
    answer = () => Promise.reject(new CrlUnavailable("nobody answers"));
    watch.follow(acme);
    await watch.look();
    await watch.look();
    assert.deepEqual(alarms(), ["stale"]);
  });

  test("raises one alarm at half of its life and one at its end", async () => {
    const crl = await ca.crl();
    answer = () => Promise.resolve(crl);
    await watch.begin(acme);
    const lateness = [0.4, 0.6, 0.7, 1, 1.1];
    const said = [];
    for (const late of lateness) {
      nowMs = Date.now() + late * hourMs;
      await watch.look();
      said.push(alarms().length);
    }
    assert.deepEqual(said, [0, 1, 1, 2, 2]);
    assert.deepEqual(alarms(), ["ageing", "stale"]);
  });
});
