import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { KeyRing, newDataKey } from "@wardmq/sealing";
import { Registry } from "../src/registry/registry.ts";
import { newDeployment, TestFolder, uuid } from "./control-under-test.ts";
import { writePlainRegistry } from "./plain-registry.ts";

const key = newDataKey();
const keys = { ring: new KeyRing([key], key.id), store: "a store" };

describe("a registry of before it was sealed", () => {
  for (const version of [1, 2] as const) {
    test(`is taken over from version ${version}, all of it, and nothing stays in the clear`, async () => {
      using deployment = await newDeployment();
      const pem = readFileSync(deployment.in("control/issuing-ca.pem"), "utf8");
      const [, base64 = ""] = /-----BEGIN CERTIFICATE-----([^-]*)-----END/.exec(pem) ?? [];
      using folder = new TestFolder();
      const path = join(folder.path, "registry.db");
      writePlainRegistry(path, version, Buffer.from(base64, "base64"));
      Registry.open(path, keys).close();
      const registry = Registry.open(path, keys);
      assert.deepEqual(
        registry
          .subjects()
          .map(({ id, state, certificates }) => [
            id,
            state,
            certificates.map((one) => [one.serialNumber, one.state, one.changedAt]),
          ]),
        [
          [`device:${uuid}`, "active", [["s1", "active", 4]]],
          ["service:gone", "revoked", [["s2", "revoked", 5]]],
          ["service:new", "registered", []],
        ],
      );
      const [issuer] =
        registry.subject(`device:${uuid}`)?.certificates.map((one) => one.issuer) ?? [];
      if (version === 2) assert.equal(issuer, "aabb");
      else assert.match(issuer ?? "", /^[0-9a-f]{40}$/);
      assert.deepEqual(registry.history(`device:${uuid}`, 10), [
        {
          at: 1,
          actor: "uid:1",
          action: "subject.add",
          subject: `device:${uuid}`,
          details: { ward: "icu" },
        },
      ]);
      assert.throws(() => registry.refuseUsedKey("k2", "service:new"), { code: "ERR_KEY_REVOKED" });
      const files = ["", "-wal", "-shm"].map((end) => readFileSync(path + end, "latin1")).join("");
      for (const word of ["Hospital_1", uuid, "icu", "spiffe", "WardMQ issuing"]) {
        assert.ok(!files.includes(word), word);
      }
      registry.close();
    });
  }
});
