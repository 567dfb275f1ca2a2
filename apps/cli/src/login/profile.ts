import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { printable } from "@wardmq/events";
import { Failure, systemCode } from "../failure.ts";

/** Where a person logs in and what for; `wardmq up` writes one for its demo, an administrator for others. */
export interface Profile {
  /** The identity provider, exactly as its discovery document has it. */
  readonly issuer: string;
  readonly clientId: string;
  /** The resource asked for: `audience` of issuers.yaml. */
  readonly audience: string;
  /** `wss://HOST:PORT/mqtt` */
  readonly broker: string;
  /** PEM files beside the profile that each of the two is trusted by; the runtime's own roots without one. */
  readonly issuerCa?: string;
  readonly brokerCa?: string;
  /** For operators: the API, whose tokens are others than the broker's. */
  readonly api?: ApiProfile;
}

export interface ApiProfile {
  /** `https://HOST:PORT`; a token is sent nowhere else. */
  readonly url: string;
  /** `api.audience` of issuers.yaml. */
  readonly audience: string;
  readonly ca?: string;
}

export interface AccessToken {
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** What a login gave, kept in `token.json` beside the profile, for its owner only. */
export interface StoredTokens extends AccessToken {
  readonly refreshToken?: string;
  /** For the API; fetched when it is first needed. */
  readonly api?: AccessToken;
}

/** The one that `wardmq up` writes, seen from where it is started. */
export const demoProfile = ".wardmq/demo/demo/login.json";

const texts = ["issuer", "clientId", "audience", "broker"] as const;
const files = ["issuerCa", "brokerCa"] as const;

export function readProfile(path: string): Profile {
  const wrong = (why: string) =>
    new Failure(
      2,
      `${printable(path, 1000)} ${why}`,
      "start wardmq up, or name a file with --profile",
    );
  let value: Record<string, unknown>;
  try {
    value = Object(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw wrong(systemCode(error) === "ENOENT" ? "is not there" : "cannot be read as JSON");
  }
  const known: readonly string[] = [...texts, ...files, "api"];
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(`has an unknown key ${printable(unknown, 40)}`);
  const bad =
    texts.find((key) => typeof value[key] !== "string") ??
    files.find((key) => !["string", "undefined"].includes(typeof value[key]));
  if (bad !== undefined) throw wrong(`has no text under ${bad}`);
  const profile = value as unknown as Profile;
  if (profile.api !== undefined && !isApiProfile(profile.api)) {
    throw wrong("has an api that is not url (https), audience and perhaps ca");
  }
  if (!profile.issuer.startsWith("https://")) throw wrong("has an issuer that is not https");
  if (!profile.broker.startsWith("wss://")) throw wrong("has a broker that is not wss");
  return profile;
}

function isApiProfile(api: unknown): boolean {
  if (typeof api !== "object" || api === null) return false;
  const { url, audience, ca, ...more } = api as Record<string, unknown>;
  return (
    typeof url === "string" &&
    URL.canParse(url) &&
    new URL(url).protocol === "https:" &&
    typeof audience === "string" &&
    ["string", "undefined"].includes(typeof ca) &&
    Object.keys(more).length === 0
  );
}

/** The text of a file that a profile names. */
export function besideProfile(path: string, name: string | undefined): string | undefined {
  if (name === undefined) return undefined;
  return readFileSync(isAbsolute(name) ? name : join(dirname(path), name), "utf8");
}

const tokensPath = (profile: string) => join(dirname(profile), "token.json");

export function readTokens(profile: string): StoredTokens {
  const path = tokensPath(profile);
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    throw new Failure(1, "nobody is logged in", "run wardmq login");
  }
  try {
    if ((fstatSync(file).mode & 0o077) !== 0) {
      throw new Failure(
        2,
        `${printable(path, 1000)} is open to others`,
        "chmod 600 it, and log in again",
      );
    }
    return JSON.parse(readFileSync(file, "utf8")) as StoredTokens;
  } finally {
    closeSync(file);
  }
}

/** The text of a `token.json`; undefined for any other. */
export function parseTokens(text: string): Partial<StoredTokens> | undefined {
  try {
    return Object(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export function writeTokens(profile: string, tokens: StoredTokens): void {
  const path = tokensPath(profile);
  rmSync(`${path}.new`, { force: true });
  writeFileSync(`${path}.new`, JSON.stringify(tokens), { mode: 0o600, flag: "wx" });
  renameSync(`${path}.new`, path);
}
