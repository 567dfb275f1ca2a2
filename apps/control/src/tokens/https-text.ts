import type { ClientRequest } from "node:http";
import { type RequestOptions, request } from "node:https";
import { systemCode } from "../failure.ts";

/** One question to an issuer; over HTTPS always. */
export interface HttpsQuestion {
  readonly url: string;
  /** PEM certificates to trust instead of the runtime's. */
  readonly ca: string | undefined;
  /** What is posted; without it the URL is fetched. */
  readonly form?: Readonly<Record<string, string>>;
  /** The header of this name. */
  readonly authorization?: string;
  readonly timeoutMs?: number;
}

/** Gives the body of a 200; rejects with an IssuerUnavailable for anything else. */
export type AskHttps = (question: HttpsQuestion) => Promise<string>;

/** Why an issuer could not be asked; never what it said. */
export class IssuerUnavailable extends Error {
  override readonly name = "IssuerUnavailable";
}

const longestMs = 5_000;
const maximumBytes = 256 * 1024;

/** No redirects, no more bytes than a key set may have, and no longer than five seconds from beginning to end. */
export const askHttps: AskHttps = ({ url, ca, form, authorization, timeoutMs = longestMs }) =>
  new Promise((resolve, reject) => {
    if (!url.startsWith("https://")) throw new IssuerUnavailable("the address is not HTTPS");
    const body = form === undefined ? undefined : new URLSearchParams(form).toString();
    const asked = begin(url, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        accept: "application/json",
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
        ...(body === undefined ? {} : { "content-length": Buffer.byteLength(body) }),
      },
      ...(ca === undefined ? {} : { ca }),
      minVersion: "TLSv1.2",
      rejectUnauthorized: true, // whatever the environment says
      agent: false,
    });
    const fail = (why: string) => {
      clearTimeout(timer);
      asked.destroy();
      reject(new IssuerUnavailable(why));
    };
    const timer = setTimeout(() => fail("it did not answer in time"), timeoutMs);
    asked.on("error", (error: NodeJS.ErrnoException) =>
      fail(error.code ?? "the connection failed"),
    );
    asked.on("response", (response) => {
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > maximumBytes) fail("its answer is too long");
        else parts.push(part);
      });
      response.on("error", () => fail("its answer broke off"));
      response.on("end", () => {
        if (response.statusCode !== 200) return fail(`it answered ${response.statusCode}`);
        clearTimeout(timer);
        resolve(Buffer.concat(parts).toString("utf8"));
      });
    });
    asked.end(body);
  });

/** What is wrong with an address or a CA is seen before anything is sent. */
function begin(url: string, options: RequestOptions): ClientRequest {
  try {
    return request(url, options);
  } catch (error) {
    throw new IssuerUnavailable(systemCode(error) ?? "it can not be asked");
  }
}
