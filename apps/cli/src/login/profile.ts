import { X509Certificate } from "node:crypto";
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
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
  /** What each of the two is trusted by, in PEM; the profile names files. The runtime's own roots without one. */
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

/** What a login gave, kept beside the profile, for its owner only. */
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
  const { issuerCa, brokerCa, api, ...profile } = value as unknown as Profile;
  if (api !== undefined && !isApiProfile(api)) {
    throw wrong("has an api that is not url (https), audience and perhaps ca");
  }
  if (!isUrl(profile.issuer, "https:")) throw wrong("has an issuer that is no https URL");
  if (!isUrl(profile.broker, "wss:")) throw wrong("has a broker that is no wss URL");
  return {
    ...profile,
    ...(issuerCa === undefined ? {} : { issuerCa: readCa(path, issuerCa) }),
    ...(brokerCa === undefined ? {} : { brokerCa: readCa(path, brokerCa) }),
    ...(api === undefined
      ? {}
      : { api: { ...api, ...(api.ca === undefined ? {} : { ca: readCa(path, api.ca) }) } }),
  };
}

function isApiProfile(api: unknown): boolean {
  if (typeof api !== "object" || api === null) return false;
  const { url, audience, ca, ...more } = api as Record<string, unknown>;
  return (
    typeof url === "string" &&
    isUrl(url, "https:") &&
    typeof audience === "string" &&
    ["string", "undefined"].includes(typeof ca) &&
    Object.keys(more).length === 0
  );
}

const isUrl = (text: string, protocol: string) =>
  URL.canParse(text) && new URL(text).protocol === protocol;

/** What may stand between the certificates of such a file is for people. */
const block = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates of a file that a profile names. */
function readCa(profile: string, name: string): string {
  const path = isAbsolute(name) ? name : join(dirname(profile), name);
  const hint = "correct its name in the profile";
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const why = systemCode(error) ?? "unreadable";
    throw new Failure(2, `cannot read ${printable(path, 1000)}: ${why}`, hint);
  }
  const certificates = text.match(block) ?? [];
  if (certificates.length > 0 && certificates.every(isCertificate)) return certificates.join("\n");
  throw new Failure(2, `${printable(path, 1000)} holds no certificate in PEM`, hint);
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

/** `hospital.token.json` for `hospital.json`. */
export const tokensPath = (profile: string) =>
  join(dirname(profile), `${basename(profile, ".json")}.token.json`);

/** Whose a login is: its tokens are for no other identity provider, broker or API. */
function loginOf({ issuer, clientId, audience, broker, api }: Profile): object {
  return {
    ...{ issuer, clientId, audience, broker },
    ...(api === undefined ? {} : { api: { url: api.url, audience: api.audience } }),
  };
}

/** What is kept of a login with this profile, as it is now. */
export function readTokens(path: string, profile: Profile): StoredTokens {
  const file = tokensPath(path);
  const { login, ...tokens } = parseTokens(readPrivate(file), file);
  if (isDeepStrictEqual(login, loginOf(profile))) return tokens;
  throw nobody();
}

const nobody = () => new Failure(1, "nobody is logged in with this profile", "run wardmq login");

/** The text of a file that is for its owner only. */
function readPrivate(path: string): string {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw nobody();
    const why = systemCode(error) ?? "unreadable";
    throw new Failure(2, `cannot read ${printable(path, 1000)}: ${why}`, "run wardmq login");
  }
  try {
    if ((fstatSync(file).mode & 0o077) === 0) return readFileSync(file, "utf8");
    throw new Failure(
      2,
      `${printable(path, 1000)} is open to others`,
      "chmod 600 it, and log in again",
    );
  } finally {
    closeSync(file);
  }
}

/** The text of what `writeTokens` writes. */
export function parseTokens(text: string, path: string): StoredTokens & { login: unknown } {
  try {
    const value = JSON.parse(text);
    const { refreshToken = "", api = value } = value;
    if (isAccessToken(value) && isAccessToken(api) && typeof refreshToken === "string") {
      return value;
    }
  } catch {
    // a JSON.parse that says why would repeat the text
  }
  throw new Failure(2, `${printable(path, 1000)} is damaged`, "run wardmq login");
}

const isAccessToken = (value: unknown) =>
  typeof Object(value).accessToken === "string" && typeof Object(value).expiresAt === "number";

export function writeTokens(path: string, profile: Profile, tokens: StoredTokens): void {
  const file = tokensPath(path);
  const next = `${file}.${process.pid}.new`;
  rmSync(next, { force: true });
  const text = JSON.stringify({ login: loginOf(profile), ...tokens });
  writeFileSync(next, text, { mode: 0o600, flag: "wx" });
  renameSync(next, file);
}
