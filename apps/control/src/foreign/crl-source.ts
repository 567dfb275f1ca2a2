import { statSync } from "node:fs";
import { constants, open } from "node:fs/promises";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { isAbsolute } from "node:path";
import { decodePem } from "@wardmq/x509";
import { systemCode } from "../failure.ts";

/** Where the CRL of somebody else's CA lies: an absolute path, or an address over HTTP or HTTPS. */
export type CrlSource = string;

/** Why a CRL could not be read; never what was read. */
export class CrlUnavailable extends Error {
  override readonly name = "CrlUnavailable";
}

/** A hundred thousand entries are some 5 MB. */
export const maximumCrlBytes = 8 * 1024 * 1024;
const timeoutMs = 10_000;
const mostRedirects = 3;

/** What is wrong with a source, or nothing. */
export function refuseSource(source: CrlSource): string | undefined {
  if (!source.includes("://")) {
    return isAbsolute(source) ? undefined : "the path of the CRL is not absolute";
  }
  const url = URL.canParse(source) ? new URL(source) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    return "the address of the CRL is neither HTTP nor HTTPS";
  }
  if (url.username !== "" || url.password !== "") return "the address of the CRL has a password";
  return undefined;
}

/**
 * The DER of a CRL, bounded in size and time; a file may hold it in PEM. What it says is signed: HTTP is as good as HTTPS,
 * and RFC 5280 section 8 warns of a CRL that needs a certificate to be fetched.
 */
export async function readCrl(source: CrlSource): Promise<Uint8Array> {
  const wrong = refuseSource(source);
  if (wrong !== undefined) throw new CrlUnavailable(wrong);
  const bytes = source.includes("://") ? await fetchBytes(source) : await readBytes(source);
  if (!bytes.subarray(0, 11).equals(Buffer.from("-----BEGIN "))) return new Uint8Array(bytes);
  try {
    return decodePem("X509 CRL", bytes.toString("latin1"));
  } catch {
    throw new CrlUnavailable("it is no CRL in PEM");
  }
}

/** Tells a file that was changed from one that was not, without reading it; undefined for an address. */
export function stampOf(source: CrlSource): string | undefined {
  if (source.includes("://")) return undefined;
  const stat = statSync(source, { throwIfNoEntry: false });
  return stat && `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
}

/** Opens nothing that blocks, such as a pipe, and reads no more than a CRL may have. */
async function readBytes(path: string): Promise<Buffer> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) throw new CrlUnavailable("it is no file");
    if (stat.size > maximumCrlBytes) throw new CrlUnavailable("it is too long");
    const bytes = Buffer.alloc(stat.size);
    const { bytesRead } = await file.read(bytes, 0, stat.size, 0);
    return bytes.subarray(0, bytesRead);
  } catch (error) {
    if (error instanceof CrlUnavailable) throw error;
    throw new CrlUnavailable(`the file can not be read: ${systemCode(error) ?? "unknown"}`);
  }
}

/** Follows a few redirects, from HTTPS to HTTPS only, in ten seconds from beginning to end. */
async function fetchBytes(source: string): Promise<Buffer> {
  const signal = AbortSignal.timeout(timeoutMs);
  let url = new URL(source);
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const answer = await ask(url, signal);
    if (Buffer.isBuffer(answer)) return answer;
    if (url.protocol === "https:" && answer.protocol !== "https:") {
      throw new CrlUnavailable("it redirects from HTTPS to something else");
    }
    const wrong = refuseSource(answer.href);
    if (wrong !== undefined) throw new CrlUnavailable(`it redirects, and ${wrong}`);
    url = answer;
  }
  throw new CrlUnavailable("it redirects too often");
}

/** The body of a 200, or where a redirect leads. */
function ask(url: URL, signal: AbortSignal): Promise<Buffer | URL> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      asked.destroy();
      reject(new CrlUnavailable(why));
    };
    const options = { headers: { accept: "application/pkix-crl" }, agent: false } as const;
    const asked =
      url.protocol === "https:"
        ? requestHttps(url, { ...options, rejectUnauthorized: true }) // whatever the environment says
        : requestHttp(url, options);
    const late = () => fail("it did not answer in time");
    signal.addEventListener("abort", late, { once: true });
    asked.on("close", () => signal.removeEventListener("abort", late));
    asked.on("error", (error) => fail(systemCode(error) ?? "the connection failed"));
    asked.on("response", (response) => {
      const { statusCode = 0, headers } = response;
      if ([301, 302, 303, 307, 308].includes(statusCode)) {
        const to = headers.location ?? "";
        if (!URL.canParse(to, url.href)) return fail("it redirects to nowhere");
        asked.destroy();
        return resolve(new URL(to, url.href));
      }
      if (statusCode !== 200) return fail(`it answered ${statusCode}`);
      collect(response, resolve, fail);
    });
    asked.end();
  });
}

function collect(
  response: IncomingMessage,
  done: (body: Buffer) => void,
  fail: (why: string) => void,
): void {
  const parts: Buffer[] = [];
  let length = 0;
  response.on("data", (part: Buffer) => {
    length += part.length;
    if (length > maximumCrlBytes) fail("it is too long");
    else parts.push(part);
  });
  response.on("error", () => fail("its answer broke off"));
  response.on("aborted", () => fail("its answer broke off"));
  response.on("end", () => done(Buffer.concat(parts)));
}
