import { createHash } from "node:crypto";
import type { SecurityEvent } from "@wardmq/events";
import type { Introspected, IssuerSettings } from "@wardmq/tokens";
import { type AskHttps, IssuerUnavailable } from "./https-text.ts";
import { issuerCa } from "./issuer-ca.ts";
import { discover } from "./issuers.ts";

export interface IntrospectionParts {
  readonly ask: AskHttps;
  /** The issuer that is asked, if there is one. */
  readonly issuer: () => IssuerSettings | undefined;
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  readonly readFile: (path: string) => string;
  /** As `readFile`; throws where others can read it too. */
  readonly readSecret: (path: string) => string;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

interface Remembered {
  readonly answer: Introspected;
  readonly until: number;
}

const timeoutMs = 2_000;
/** Questions that are on their way at once: beyond them a token is refused, and the others are not held up. */
const mostUnderway = 32;
const mostRemembered = 10_000;
/** What is said of one token goes to a broker as it is: neither longer nor deeper than any is. */
const longestAnswer = 16 * 1024;
const deepestAnswer = 64;
/** An issuer that does not answer is an event so often at most. */
const eventEveryMs = 5_000;

/** What is of one issuer as issuers.yaml has it, and goes with it: nothing of it ever meets another. */
interface Asked {
  readonly settings: IssuerSettings;
  readonly remembered: Map<string, Remembered>;
  readonly underway: Map<string, Promise<Introspected>>;
  /** Where it is asked, once that was looked up; looked up again after a failure. */
  endpoint: string | undefined;
}

/**
 * Asks the issuer about opaque tokens (RFC 7662). Answers are remembered for a few seconds under the hash of the token,
 * and never beyond its end; the same token is asked about once at a time.
 */
export class Introspection {
  readonly #parts: IntrospectionParts;
  #asked: Asked | undefined;
  #eventAt = Number.NEGATIVE_INFINITY;

  constructor(parts: IntrospectionParts) {
    this.#parts = parts;
  }

  /** What the issuer says of this token; undefined where nobody is asked, or it gave no answer that counts. */
  async of(token: string): Promise<Introspected | undefined> {
    const settings = this.#parts.issuer();
    if (settings === undefined) return undefined;
    if (settings !== this.#asked?.settings) this.#asked = begin(settings);
    const asked = this.#asked;
    const key = createHash("sha256").update(token).digest("base64url");
    const known = asked.remembered.get(key);
    if (known !== undefined && this.#parts.now() < known.until) return known.answer;
    try {
      return await (asked.underway.get(key) ?? this.#begin(key, token, asked));
    } catch (error) {
      if (!(error instanceof IssuerUnavailable)) throw error;
      this.#failed(settings, error);
      return undefined;
    }
  }

  async #begin(key: string, token: string, asked: Asked): Promise<Introspected> {
    if (asked.underway.size >= mostUnderway) {
      throw new IssuerUnavailable("too many of our questions wait for its answer");
    }
    const question = this.#question(token, asked);
    asked.underway.set(key, question);
    try {
      const answer = await question;
      this.#remember(key, answer, asked);
      return answer;
    } catch (error) {
      asked.endpoint = undefined;
      throw error;
    } finally {
      asked.underway.delete(key);
    }
  }

  async #question(token: string, asked: Asked): Promise<Introspected> {
    const { settings } = asked;
    const { introspection, name } = settings;
    if (introspection === undefined) throw new IssuerUnavailable("it is not to be asked");
    const { readFile, readSecret } = this.#parts;
    const ask: AskHttps = (question) => this.#parts.ask({ ...question, timeoutMs });
    const ca = issuerCa(settings, readFile);
    // Before anything is waited for: the file may be another issuer's by then.
    const secret = readSecret(introspection.clientSecretFile).trim();
    asked.endpoint ??=
      introspection.endpoint ?? (await discover(ask, settings, "introspection_endpoint", ca));
    const text = await ask({
      url: asked.endpoint,
      ca,
      form: { token, token_type_hint: "access_token" },
      authorization: basic(introspection.clientId, secret),
    });
    return { issuer: name, claims: claimsOf(text) };
  }

  #remember(key: string, answer: Introspected, { settings, remembered }: Asked): void {
    const now = this.#parts.now();
    const exp = Number(answer.claims["exp"] ?? Number.POSITIVE_INFINITY) * 1000;
    const until = Math.min(now + (settings.introspection?.cacheSeconds ?? 0) * 1000, exp);
    if (!(until > now)) return;
    for (const oldest of remembered.keys()) {
      if (remembered.size < mostRemembered) break;
      remembered.delete(oldest);
    }
    remembered.set(key, { answer, until });
  }

  #failed({ name }: IssuerSettings, { message }: IssuerUnavailable): void {
    const now = this.#parts.now();
    if (now - this.#eventAt < eventEveryMs) return;
    this.#eventAt = now;
    this.#parts.record({ type: "issuer-unavailable", check: name, why: message });
  }
}

function begin(settings: IssuerSettings): Asked {
  return { settings, remembered: new Map(), underway: new Map(), endpoint: undefined };
}

/** RFC 6749 section 2.3.1: both parts are form-encoded before they are joined. */
function basic(clientId: string, secret: string): string {
  const encoded = [clientId, secret].map((part) =>
    new URLSearchParams({ "": part }).toString().slice(1),
  );
  return `Basic ${Buffer.from(encoded.join(":")).toString("base64")}`;
}

function claimsOf(text: string): Introspected["claims"] {
  if (text.length > longestAnswer) {
    throw new IssuerUnavailable("what it said of a token is too long");
  }
  let claims: unknown;
  try {
    claims = JSON.parse(text);
  } catch {
    throw new IssuerUnavailable("what it said of a token is no JSON");
  }
  if (typeof claims !== "object" || claims === null || Array.isArray(claims)) {
    throw new IssuerUnavailable("what it said of a token is no JSON object");
  }
  if (isDeeper(claims, deepestAnswer)) {
    throw new IssuerUnavailable("what it said of a token is nested too deep");
  }
  return claims as Introspected["claims"];
}

/** Whether objects and lists lie in each other by more than so many levels. Both runtimes write about 4,000. */
function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
