/** Builds the CRL of a CA again and again as control does and prints how long one takes: `crl-build.ts ENTRIES`. */
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { keySigner } from "@wardmq/keys";
import { encodeName } from "@wardmq/x509";
import { issueRoot } from "../apps/control/src/ca/certificate-authority.ts";
import { publishRevocationList } from "../apps/control/src/ca/revocation-lists.ts";
import { median } from "./report.ts";

const [entries = ""] = process.argv.slice(2);
const now = Date.now();
const signer = keySigner(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
const certificate = await issueRoot(encodeName({ commonName: "bench" }), signer, now);
const revoked = Array.from({ length: Number(entries) }, (_, i) => ({
  serialNumber: `7F${randomBytes(15).toString("hex").toUpperCase()}`,
  revokedAt: now - i * 1000,
  state: "revoked" as const,
}));
const registry = { revokedCertificates: () => revoked };
const took: number[] = [];
for (let i = 0; i < 5; i++) {
  const startedAt = performance.now();
  await publishRevocationList({ certificate, signer }, registry, now);
  took.push(performance.now() - startedAt);
}
process.stdout.write(JSON.stringify({ milliseconds: median(took) }));
