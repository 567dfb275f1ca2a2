import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { isIP } from "node:net";
import { join } from "node:path";
import { apiRoutes, type CommandName, type Commands, commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { credentialFiles } from "./credential.ts";
import { Failure, systemCode } from "./failure.ts";
import { freshToken } from "./login/fresh-token.ts";
import { readProfile } from "./login/profile.ts";

/** Where the API is, and who we are there. */
export interface Remote {
  /** Such as `https://control.hospital.example:9443`. */
  readonly url: string;
  /** The folder that `wardmq credential DIR operator:NAME --out` made. */
  readonly credential?: string | undefined;
  /** The profile of a login, whose token is used. */
  readonly profile?: string | undefined;
}

/** What a request proves who it is of with, and whom it trusts. */
interface Proof {
  readonly key?: string;
  readonly cert?: string;
  readonly ca?: string;
  readonly token?: string;
}

const answerTimeoutMs = 30_000;
const longestAnswer = 64 * 1024 * 1024;

/** Gives a command to the control behind an API. */
export async function askRemote<Name extends CommandName>(
  remote: Remote,
  name: Name,
  given: Commands[Name]["arguments"],
): Promise<Commands[Name]["result"]> {
  const route = apiRoutes(commands).find((one) => one.name === name);
  if (route === undefined) {
    const hint = "give it on the machine of the deployment, with DIR";
    throw new Failure(2, `${name} can not be given from afar`, hint);
  }
  const values = given as Readonly<Record<string, unknown>>;
  const path = route.path.replace(/\{(\w+)\}/g, (_, key: string) =>
    encodeURIComponent(String(values[key])),
  );
  const only = (keys: readonly string[]) =>
    Object.entries(values).filter(([key, value]) => keys.includes(key) && value !== undefined);
  const query = new URLSearchParams();
  for (const [key, value] of only(route.inQuery)) query.set(key, String(value));
  const search = query.size === 0 ? "" : `?${query}`;
  const hasBody = route.method !== "GET" && route.method !== "DELETE";
  const body = hasBody ? JSON.stringify(Object.fromEntries(only(route.inBody))) : undefined;
  const target = urlOf(remote.url, path + search);
  const answer = await send(target, await proofOf(remote, target), route.method, body);
  const parsed = parse(answer.text);
  if (answer.status === 200) return parsed as Commands[Name]["result"];
  throw failureOf(answer.status, parsed);
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function proofOf({ credential, profile: path }: Remote, target: URL): Promise<Proof> {
  const [key, cert, ca] =
    credential === undefined ? [] : credentialFiles.map((file) => read(join(credential, file)));
  const byCertificate = { ...(key && { key }), ...(cert && { cert }), ...(ca && { ca }) };
  if (path === undefined) return byCertificate;
  const { api } = readProfile(path);
  if (api === undefined || new URL(api.url).origin !== target.origin) {
    const message = `the profile is not of the API at ${printable(target.origin)}`;
    throw new Failure(
      2,
      message,
      "a token goes where api.url of the profile says, and nowhere else",
    );
  }
  const trusted = ca ?? api.ca;
  const { accessToken: token } = await freshToken(path, "api");
  return { ...byCertificate, token, ...(trusted === undefined ? {} : { ca: trusted }) };
}

function send(
  target: URL,
  { token, ...tls }: Proof,
  method: string,
  body: string | undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      target,
      {
        method,
        ...tls,
        ...serverNameOf(target),
        minVersion: "TLSv1.3",
        agent: false,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(method === "GET" ? {} : { "idempotency-key": randomUUID() }),
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > longestAnswer) asked.destroy(new Error("the answer is too long"));
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
        response.on("error", (error) => reject(unreachable(target, error)));
      },
    );
    asked.setTimeout(answerTimeoutMs, () => asked.destroy(new Error("no answer in time")));
    asked.on("error", (error) => reject(unreachable(target, error)));
    asked.end(body);
  });
}

/** The name for SNI, which an IP address is none for (RFC 6066 section 3). */
export function serverNameOf({ hostname }: URL): { readonly servername?: string } {
  return isIP(hostname.replace(/^\[|\]$/g, "")) === 0 ? { servername: hostname } : {};
}

function urlOf(url: string, path: string): URL {
  const target = URL.canParse(path, url) ? new URL(path, url) : undefined;
  if (target?.protocol === "https:") return target;
  throw new Failure(2, `${printable(url)} is no https URL`, "write https://HOST:PORT");
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = systemCode(error) ?? "unreadable";
    throw new Failure(
      2,
      `cannot read ${printable(path)}: ${why}`,
      "name the folder that wardmq credential DIR operator:NAME --out made",
    );
  }
}

function unreachable({ host }: URL, error: Error): Failure {
  const why = printable(systemCode(error) ?? error.message);
  return new Failure(
    1,
    `no answer from ${printable(host)}: ${why}`,
    "check the URL, and that the credential is an operator's that is not revoked",
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Failure(1, "the answer is no JSON", "check that the URL is that of the API");
  }
}

function failureOf(status: number, answer: unknown): Failure {
  const { title, hint, approval } = (answer ?? {}) as {
    title?: string;
    hint?: string;
    approval?: { id: string };
  };
  if (status === 202 && approval !== undefined) {
    return new Failure(
      1,
      `the command waits for a second person as ${printable(approval.id)}`,
      `another security officer says: wardmq approvals approve ${printable(approval.id)}`,
    );
  }
  const isInput = status === 400 || status === 422;
  return new Failure(isInput ? 2 : 1, safe(title ?? `status ${status}`), safe(hint ?? ""));
}

/** Control's sentences are printable already; what is not, did not come from it. */
function safe(text: string): string {
  return /^[\x20-\x7e…]*$/.test(text) ? text : printable(text);
}
