import type { SecurityEvent } from "@wardmq/events";
import {
  type BreakGlassRow,
  type Issuer,
  type IssuerKey,
  type IssuerSettings,
  type LogoutIssuer,
  parseJwkSet,
  type RoleMapping,
} from "@wardmq/tokens";
import { type AskHttps, IssuerUnavailable } from "./https-text.ts";
import { issuerCa } from "./issuer-ca.ts";

export interface IssuersParts {
  readonly ask: AskHttps;
  /** Milliseconds since 1970, never set back. */
  readonly now: () => number;
  readonly readFile: (path: string) => string;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** What brokers have to be told is another than before. */
  readonly changed: () => void;
  /** Where fetched keys outlive control: they are public, and believed no longer than their age allows. */
  readonly cache: { read(): string | undefined; write(text: string): void };
  /** What went wrong here, and not at an issuer. */
  readonly failed: (error: unknown) => void;
}

/** By what the API judges tokens. */
export interface ApiIssuers {
  readonly issuers: readonly Issuer[];
  readonly mapping: readonly RoleMapping[];
}

interface Fetched {
  readonly issuer: string;
  /** Milliseconds since 1970. */
  readonly fetchedAt: number;
  readonly keys: readonly IssuerKey[];
}

/**
 * What control does for one issuer:
 *
 *     no keys --fetched--> keys --(refresh fails)--> keys that age --(too old)--> keys that brokers believe no longer
 */
interface Followed {
  readonly settings: IssuerSettings;
  fetched: Fetched | undefined;
  timer: NodeJS.Timeout | undefined;
  askedAt: number;
  /** Why it could not be asked, and when that was told last; undefined while it answers. */
  outage: { readonly why: string; readonly toldAt: number } | undefined;
}

/** After a failure, and for a token that names a key we do not have: no issuer is asked more often than this. */
const cooldownMs = 5_000;
/** An outage that goes on is told again so often: an issuer that is away for a night is no flood of events. */
const outageToldMs = 60_000;

/** The issuers of issuers.yaml with their keys: fetched over HTTPS, fetched again in time, never believed too long. */
export class Issuers {
  readonly #parts: IssuersParts;
  #followed = new Map<string, Followed>();
  #cached: ReadonlyMap<string, Fetched>;

  constructor(parts: IssuersParts) {
    this.#parts = parts;
    this.#cached = readCache(parts.cache.read(), parts.now());
  }

  /** Follows these issuers and no others; what is known of one that stays is kept. */
  use(issuers: readonly IssuerSettings[]): void {
    const former = this.#followed;
    for (const { timer } of former.values()) clearTimeout(timer);
    this.#followed = new Map(
      issuers.map((settings) => {
        const known = former.get(settings.name)?.fetched ?? this.#cached.get(settings.name);
        const fetched = known?.issuer === settings.issuer ? known : undefined;
        return [
          settings.name,
          { settings, fetched, timer: undefined, askedAt: 0, outage: undefined },
        ];
      }),
    );
    for (const name of this.#followed.keys()) void this.refresh(name);
  }

  /** What brokers need to know. */
  list(): readonly Issuer[] {
    return [...this.#followed.values()].map(({ settings, fetched }) => told(settings, fetched));
  }

  /** The same issuers as the API has them: for its own audience and with its own roles. */
  ofApi(): ApiIssuers {
    return ofApi([...this.#followed.values()]);
  }

  /** Those that may say that somebody has logged out. */
  ofLogout(): readonly LogoutIssuer[] {
    return [...this.#followed.values()].map(({ settings, fetched }) => ({
      ...told(settings, fetched),
      clients: settings.logoutClients,
    }));
  }

  /** What issuers.yaml says of the issuer of this name. */
  settingsOf(name: string): IssuerSettings | undefined {
    return this.#followed.get(name)?.settings;
  }

  /** The one issuer that is asked about opaque tokens, if there is one. */
  get asked(): IssuerSettings | undefined {
    const all = [...this.#followed.values()].map(({ settings }) => settings);
    return all.find(({ introspection }) => introspection !== undefined);
  }

  /** A broker saw a token of a key that it does not know: the issuer may have begun to use a new one. */
  keyIsMissing(name: string): void {
    const followed = this.#followed.get(name);
    if (followed === undefined || this.#parts.now() - followed.askedAt < cooldownMs) return;
    void this.refresh(name);
  }

  /** Fetches the keys of an issuer; resolves when it is done, whether it worked or not, and never rejects. */
  async refresh(name: string): Promise<void> {
    const followed = this.#followed.get(name);
    if (followed === undefined) return;
    clearTimeout(followed.timer);
    followed.askedAt = this.#parts.now();
    const isFollowed = () => this.#followed.get(name) === followed; // else the file was read again meanwhile
    let waitMs = followed.settings.refreshSeconds * 1000;
    try {
      const keys = await this.#fetch(followed.settings);
      if (isFollowed()) this.#keep(followed, keys);
    } catch (error) {
      waitMs = Math.min(waitMs, cooldownMs);
      if (isFollowed()) this.#attempt(() => this.#tellOutage(followed, error));
    }
    if (isFollowed()) followed.timer = setTimeout(() => void this.refresh(name), waitMs).unref();
  }

  /** Does what the next fetch does not depend on. */
  #attempt(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#parts.failed(error);
    }
  }

  #tellOutage(followed: Followed, error: unknown): void {
    const isOurs = !(error instanceof IssuerUnavailable);
    if (isOurs) this.#parts.failed(error);
    const why = isOurs ? "control could not take its keys: its output says more" : error.message;
    const now = this.#parts.now();
    const { outage, settings } = followed;
    if (outage?.why === why && now - outage.toldAt < outageToldMs) return;
    followed.outage = { why, toldAt: now };
    this.#parts.record({ type: "issuer-unavailable", check: settings.name, why });
  }

  close(): void {
    for (const { timer } of this.#followed.values()) clearTimeout(timer);
    this.#followed.clear();
  }

  #keep(followed: Followed, keys: readonly IssuerKey[]): void {
    const { name, issuer } = followed.settings;
    const isNew = JSON.stringify(keys) !== JSON.stringify(followed.fetched?.keys);
    followed.fetched = { issuer, fetchedAt: Math.floor(this.#parts.now()), keys };
    followed.outage = undefined;
    if (isNew) {
      const kids = keys.length;
      this.#parts.record({ type: "issuer-keys-changed", check: name, details: { keys: kids } });
    }
    const all = [...this.#followed].flatMap(([name, { fetched }]) =>
      fetched ? [[name, fetched]] : [],
    );
    this.#parts.changed();
    this.#attempt(() => this.#parts.cache.write(JSON.stringify(Object.fromEntries(all))));
  }

  async #fetch(settings: IssuerSettings): Promise<readonly IssuerKey[]> {
    const ca = issuerCa(settings, this.#parts.readFile);
    const url = settings.jwksUri ?? (await discover(this.#parts.ask, settings, "jwks_uri", ca));
    const keys = parseJwkSet(await this.#parts.ask({ url, ca }));
    if (typeof keys === "string") throw new IssuerUnavailable(keys);
    if (keys.length === 0) throw new IssuerUnavailable("its JWK Set holds no key that can be used");
    return keys;
  }
}

/** An address of the issuer's discovery document, OpenID Connect Discovery 1.0 section 4. */
export async function discover(
  ask: AskHttps,
  { issuer }: IssuerSettings,
  member: "jwks_uri" | "introspection_endpoint",
  ca: string | undefined,
): Promise<string> {
  const text = await ask({
    url: `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    ca,
  });
  let metadata: Record<string, unknown>;
  try {
    metadata = Object(JSON.parse(text));
  } catch {
    throw new IssuerUnavailable("its discovery document is no JSON");
  }
  // Section 4.3: another issuer's document would give another issuer's keys.
  if (metadata["issuer"] !== issuer) {
    throw new IssuerUnavailable("its discovery document names another issuer");
  }
  const url = metadata[member];
  if (typeof url !== "string" || !isAddress(url)) {
    throw new IssuerUnavailable(`its discovery document has no ${member} that is HTTPS`);
  }
  return url;
}

/** As issuers.yaml may write one: https, without user or password. */
function isAddress(text: string): boolean {
  if (!text.startsWith("https://") || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return `${username}${password}` === "";
}

/** What brokers and the API would be told by what was kept, with nothing fetched: for a command that no control runs for. */
export function keptIssuers(
  issuers: readonly IssuerSettings[],
  cache: string | undefined,
  now: number,
): { readonly ofBrokers: readonly Issuer[]; readonly ofApi: ApiIssuers } {
  const cached = readCache(cache, now);
  const known = issuers.map((settings) => {
    const kept = cached.get(settings.name);
    return { settings, fetched: kept?.issuer === settings.issuer ? kept : undefined };
  });
  return {
    ofBrokers: known.map(({ settings, fetched }) => told(settings, fetched)),
    ofApi: ofApi(known),
  };
}

function ofApi(known: readonly Pick<Followed, "settings" | "fetched">[]): ApiIssuers {
  const issuers: Issuer[] = [];
  const mapping: RoleMapping[] = [];
  for (const { settings, fetched } of known) {
    const { name, api } = settings;
    if (api === undefined) continue;
    issuers.push({ ...told(settings, fetched), audience: api.audience, attributes: {} });
    for (const row of api.roles) mapping.push({ issuer: name, ...row });
    for (const row of api.breakGlass) mapping.push(asRole(name, row));
  }
  return { issuers, mapping };
}

function told(settings: IssuerSettings, fetched: Fetched | undefined): Issuer {
  const { jwksUri, caFile, refreshSeconds, keysMaximumAgeSeconds, ...rest } = settings;
  const { introspection, api, logoutClients, ...issuer } = rest;
  return {
    ...issuer,
    ...(introspection === undefined ? {} : { isAsked: true }),
    keys: fetched?.keys ?? [],
    keysUntil: fetched === undefined ? 0 : fetched.fetchedAt + keysMaximumAgeSeconds * 1000,
  };
}

/** A token that may take a role in an emergency is let in for that, with no other role. */
function asRole(
  issuer: string,
  { name, claim, value, acr, amr, certificateBound }: BreakGlassRow,
): RoleMapping {
  return { issuer, role: breakGlassRole(name), claim, value, acr, amr, certificateBound };
}

/** The role of the API that says what may be taken; no role of an issuers.yaml can have such a name. */
export function breakGlassRole(name: string): string {
  return `break-glass:${name}`;
}

/**
 * What was kept, made anew from what can be believed; nothing where the file is not what we wrote. Keys of the future were
 * fetched by a clock that was wrong: how old they are is not known.
 */
function readCache(text: string | undefined, now: number): ReadonlyMap<string, Fetched> {
  const kept = new Map<string, Fetched>();
  if (text === undefined) return kept;
  try {
    for (const [name, value] of Object.entries<Record<string, unknown>>(JSON.parse(text))) {
      const { issuer, fetchedAt } = value;
      const given = value["keys"] as readonly IssuerKey[];
      const keys = parseJwkSet(
        JSON.stringify({ keys: given.map(({ jwk, ...rest }) => ({ ...jwk, ...rest })) }),
      );
      if (typeof issuer !== "string" || !isPast(fetchedAt, now) || typeof keys === "string")
        continue;
      kept.set(name, { issuer, fetchedAt, keys });
    }
  } catch {
    return new Map(); // they are fetched again
  }
  return kept;
}

function isPast(time: unknown, now: number): time is number {
  return Number.isSafeInteger(time) && Number(time) <= now;
}
