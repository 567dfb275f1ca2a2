import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import type { BrokerSettings } from "@wardmq/feed";
import { endAll, host, makePki, startDoor } from "./door-under-test.ts";

/** One line of testssl's report. */
interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

const harmless = ["OK", "INFO", "DEBUG"];

/** What testssl says of every door of ours, and why that is as it should be. */
const explained: Readonly<Record<string, string>> = {
  cert_expirationStatus: "server certificates live 30 days and are renewed while the door is open",
  cert_notAfter: "the same, said twice",
  cert_revocation: "the short life stands in for revocation: clients in a ward cannot fetch a CRL",
  DNS_CAArecord:
    "CAA binds public CAs; the names of a hospital's own PKI need not be in public DNS",
  engine_problem: "GOST, which testssl cannot try without an engine for it, is no suite of ours",
  // It asks s_client to renegotiate and to end, and takes an end before our alert has come, on a busy machine, for consent.
  secure_client_renego: "door.test.ts: ends a connection that renegotiates",
};

/**
 * What testssl cannot try without a client certificate, where it notices in time that one is wanted, and who tries it.
 * Only its warning that it could not is accepted, never a result.
 */
const behindTheDoor: Readonly<Record<string, string>> = {
  sessionresumption_ID: "door.test.ts: never resumes a session",
  sessionresumption_ticket: "door.test.ts: never resumes a session",
  BREACH: "HTTP is spoken for the WebSocket handshake only, and nothing is ever compressed",
};

function isExplained({ id, severity, finding }: Finding): boolean {
  if (severity === "WARN" && /client (x509-based )?authentication/.test(finding)) {
    return behindTheDoor[id] !== undefined;
  }
  return explained[id] !== undefined;
}

/** Debian calls it testssl, everybody else testssl.sh. */
const program = ["testssl.sh", "testssl"].find(
  (name) => spawnSync(name, ["--version"]).error === undefined,
);
const skip = program === undefined ? "testssl.sh is not installed" : false;

async function scan(tls: BrokerSettings["tls"]): Promise<readonly Finding[]> {
  const pki = await makePki();
  const under = await startDoor(pki, { tls });
  const folder = mkdtempSync(join(tmpdir(), "wardmq-testssl-"));
  const report = join(folder, "report.json");
  writeFileSync(join(folder, "root.pem"), pki.root.pem);
  const child = spawn(
    program ?? "",
    [
      ...["--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1"],
      // Protocols, suites, forward secrecy, preferences, the certificate, vulnerabilities.
      ...["-p", "-s", "-f", "-P", "-S", "-U"],
      ...["--add-ca", join(folder, "root.pem"), "--jsonfile", report, `${host}:${under.mqtts}`],
    ],
    { stdio: "ignore" },
  );
  after(() => child.kill("SIGKILL"));
  await once(child, "close");
  const findings = JSON.parse(readFileSync(report, "utf8")) as readonly Finding[];
  rmSync(folder, { recursive: true });
  return findings;
}

describe("what testssl.sh finds", { skip }, () => {
  after(endAll);
  for (const [minVersion, answer12] of [
    ["TLSv1.3", "not offered"],
    ["TLSv1.2", "offered"],
  ] as const) {
    test(`is nothing of severity LOW or worse that is not explained (from ${minVersion} on)`, {
      timeout: 480_000,
    }, async () => {
      const findings = await scan({ profile: "nist", minVersion });
      const said = (id: string) => findings.find((finding) => finding.id === id)?.finding ?? "";
      for (const old of ["SSLv2", "SSLv3", "TLS1", "TLS1_1"])
        assert.match(said(old), /not offered/);
      assert.match(said("TLS1_2"), new RegExp(`^${answer12}`));
      assert.match(said("TLS1_3"), /^offered/);
      assert.match(said("heartbleed"), /not vulnerable/);
      const bad = findings.filter(
        (finding) => !harmless.includes(finding.severity) && !isExplained(finding),
      );
      assert.deepEqual(bad, []);
    });
  }
});
