import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "@wardmq/config";
import { selfSigned } from "./certificate.ts";
import { startProvider } from "./provider.ts";

/**
 * The demo's identity provider: `main.ts DIR`. Anybody logs in with any password, so it serves a demo deployment on the
 * loopback only, says on every line what it is, and refuses anything else.
 */
async function main(): Promise<void> {
  const directory = process.argv[2] ?? "";
  mark();
  const settings = join(directory, "wardmq.yaml");
  const isDemo =
    existsSync(settings) &&
    parseConfig(readFileSync(settings, "utf8"), []).settings.environment === "demo";
  if (!isDemo || process.env["WARDMQ_UP"] !== "1") {
    console.error("refused: it takes any password, and is for wardmq up alone");
    process.exit(2);
  }
  const { key, certificate } = await selfSigned(Date.now());
  writeFileSync(join(directory, "demo/identity-provider.pem"), certificate, { mode: 0o600 });
  const dashboard = { id: "dashboard", secret: randomBytes(32).toString("base64url") };
  const provider = await startProvider({
    key,
    certificate,
    resources: [{ audience: "urn:wardmq:demo-hospital", format: "jwt" }],
    lifeSeconds: 600,
    accounts: {
      nurse: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
      doctor: { groups: ["doctors"], amr: ["pwd", "mfa"] },
    },
    apps: { [dashboard.id]: { secret: dashboard.secret, groups: ["dashboards"] } },
  });
  const { issuer, clientId } = provider;
  // Standard output is a pipe to wardmq up, which hands the secret on in a file for its user only.
  process.stdout.write(`ready ${JSON.stringify({ issuer, clientId, dashboard })}\n`);
  process.stdin.on("end", () => process.exit(0)); // whoever started us is gone
  process.stdin.on("error", () => process.exit(0));
  process.stdin.resume();
  process.once("SIGTERM", () => process.exit(0));
}

/** oidc-provider has its own notices: each line of them says where it comes from. */
function mark(): void {
  for (const name of ["log", "info", "warn", "error"] as const) {
    console[name] = (...words: readonly unknown[]) => {
      const lines = words.map(String).join(" ").split("\n");
      for (const line of lines) process.stderr.write(`DEMO identity provider: ${line}\n`);
    };
  }
}

await main();
