import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import { Failure } from "../failure.ts";
import { type OpensslKey, opensslFailed } from "./device-key.ts";

export interface Asked {
  readonly target: URL;
  /** The CAs that are trusted, PEM. */
  readonly ca: string;
  readonly hardware: OpensslKey;
  readonly certificatePath: string;
  /** Of a POST with a PKCS#10 request. */
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

const timeoutMs = 60_000;
const longestAnswer = 1024 * 1024;

/**
 * One POST over TLS with a client key that never leaves its hardware. No runtime of JavaScript uses such a key, so the
 * program `openssl s_client` makes the connection, with TLS 1.3 and the server verified as ever, and HTTP goes through it.
 */
export function askByOpenssl({ target, ca, hardware, certificatePath, body }: Asked): Answer {
  const folder = mkdtempSync(join(tmpdir(), "wardmq-est-"));
  try {
    const caFile = join(folder, "ca.pem");
    writeFileSync(caFile, ca);
    const { status, stdout, stderr, error } = spawnSync(
      "openssl",
      [
        ...["s_client", "-quiet", "-tls1_3", "-alpn", "http/1.1"],
        ...[
          "-connect",
          `${target.hostname}:${target.port || "443"}`,
          ...verifying(target.hostname),
        ],
        ...["-CAfile", caFile, "-no-CApath", "-no-CAstore", "-verify_return_error"],
        ...["-cert", certificatePath, ...hardware.options(folder)],
      ],
      {
        input: requestOf(target, body),
        env: { ...process.env, ...hardware.environment },
        maxBuffer: longestAnswer,
        timeout: timeoutMs,
      },
    );
    const answer = parseAnswer(stdout ?? Buffer.alloc(0));
    if (answer !== undefined) return answer;
    const said = String(stderr ?? "");
    if (/verify error|certificate verify failed/.test(said)) throw untrusted(target, said);
    if (status !== 0 || error !== undefined) throw opensslFailed("s_client", error, said);
    throw new Failure(
      1,
      `no answer from ${printable(target.host)}: the handshake may have been refused because the certificate of this device is revoked or expired`,
      "have an operator look at wardmq events, or enrol with a new code",
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function verifying(hostname: string): readonly string[] {
  const address = hostname.replace(/^\[|\]$/g, "");
  return isIP(address) === 0
    ? ["-servername", hostname, "-verify_hostname", hostname]
    : ["-noservername", "-verify_ip", address];
}

function requestOf({ pathname, host }: URL, body: string): string {
  return [
    `POST ${pathname} HTTP/1.1`,
    `Host: ${host}`,
    "Content-Type: application/pkcs10",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

/** An answer that is whole, told by its Content-Length; undefined for everything else. */
function parseAnswer(bytes: Buffer): Answer | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  const [statusLine = "", ...headers] = bytes
    .subarray(0, Math.max(0, end))
    .toString("latin1")
    .split("\r\n");
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1];
  const length = headers.map((line) => /^content-length: *(\d+)$/i.exec(line)?.[1]).find(Boolean);
  const text = bytes.subarray(end + 4);
  if (status === undefined || Number(length) !== text.length) return undefined;
  return { status: Number(status), text: text.toString("latin1") };
}

function untrusted({ host }: URL, said: string): Failure {
  const why = /verify error:num=\d+:(.*)/.exec(said)?.[1] ?? "it can not be verified";
  return new Failure(
    1,
    `${printable(host)}: its certificate is not trusted: ${printable(why, 200)}`,
    "check the URL and the CA: somebody may stand in between",
  );
}
