import assert from "node:assert/strict";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { test } from "node:test";
import { decodePublicKey, type Signer, signatureAlgorithms } from "@wardmq/x509";

/** What every Signer keeps, whatever holds its key. */
export function signerContract(
  make: () => Signer,
  options: { readonly skip?: string | false } = {},
): void {
  const verifies = ({ algorithm, publicKey }: Signer, tbs: Uint8Array, signature: Uint8Array) => {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
    return verify(signatureAlgorithms[algorithm].hash, tbs, key, signature);
  };

  test("signs nothing that verifies for other bytes, or with another key", options, async () => {
    const [signer, other] = [make(), make()];
    const tbs = randomBytes(300);
    const changed = Buffer.from(tbs);
    changed[7] = (changed[7] ?? 0) ^ 1;
    assert.ok(!verifies(signer, changed, await signer.sign(tbs)));
    assert.ok(!verifies(other, tbs, await signer.sign(tbs)));
  });

  test(
    "signs bytes of any length, again and again, so that its public key verifies them",
    options,
    async () => {
      const signer = make();
      // Many: r and s of ECDSA come with a leading zero or a leading one bit now and then.
      for (let length = 0; length < 300; length += 1) {
        const tbs = randomBytes(length);
        assert.ok(verifies(signer, tbs, await signer.sign(tbs)), `${length}`);
      }
    },
  );

  test("signs several things that are asked for at once, each its own", options, async () => {
    const signer = make();
    const all = Array.from({ length: 20 }, () => randomBytes(100));
    const signatures = await Promise.all(all.map((tbs) => signer.sign(tbs)));
    for (const [i, tbs] of all.entries())
      assert.ok(verifies(signer, tbs, signatures[i] ?? new Uint8Array()), `${i}`);
  });

  test("names the algorithm that its public key is for", options, () => {
    const { algorithm, publicKey } = make();
    assert.equal(decodePublicKey(publicKey).signatureAlgorithm, algorithm);
  });
}
