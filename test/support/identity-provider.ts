import { createHash, randomBytes } from "node:crypto";
import { request } from "node:https";
import { selfSigned } from "../../apps/idp/src/certificate.ts";
import {
  type ProviderOptions,
  type RunningProvider,
  startProvider,
} from "../../apps/idp/src/provider.ts";

export const audience = "urn:wardmq:test";
export const apiAudience = "urn:wardmq:test:api";
export const opaqueAudience = "urn:wardmq:test:opaque";
export const asking = { id: "wardmq-control", secret: "a secret: with+signs" } as const;

export interface TestProvider extends RunningProvider {
  /** PEM: what its HTTPS is trusted by. */
  readonly ca: string;
  /** The answer of the token endpoint for a person who logs in at the page. */
  readonly logIn: (account: string, scope?: string, resource?: string) => Promise<LoggedIn>;
  /** Takes a token back at the provider (RFC 7009). */
  readonly revoke: (token: string) => Promise<void>;
  /** What the token endpoint says to a code that somebody brings: 200, or `error` of RFC 6749. */
  readonly exchange: (code: string, redirect: string, verifier: string) => Promise<number | string>;
  /** The answer of the token endpoint for an app that comes for itself. */
  readonly appToken: (id: string, secret: string, resource?: string) => Promise<Tokens>;
}

export interface LoggedIn extends Tokens {
  /** Ends the session at the provider, as the browser would that has logged in. */
  readonly logOut: () => Promise<void>;
}

export interface Tokens {
  readonly access_token: string;
  readonly refresh_token?: string;
}

/** A real OpenID Provider; `nurse` and `doctor` log in with any password, the app `reports` with its secret. */
export async function startTestProvider(
  options: Partial<ProviderOptions> = {},
): Promise<TestProvider> {
  const { key, certificate: ca } = await selfSigned(Date.now());
  const provider = await startProvider({
    key,
    certificate: ca,
    resources: [
      { audience, format: "jwt" },
      { audience: apiAudience, format: "jwt" },
      { audience: opaqueAudience, format: "opaque" },
    ],
    asking,
    lifeSeconds: 600,
    accounts: {
      nurse: { groups: ["nurses"], ward: "icu", amr: ["pwd"] },
      doctor: { groups: ["doctors"], amr: ["pwd", "mfa"] },
      "visitor@home.example": { groups: ["nurses"] },
    },
    apps: { reports: { secret: "a-secret-of-the-app", groups: ["apps"] } },
    ...options,
  });
  const ask = (url: string, rest: Question = {}) => https(url, ca, rest);
  return {
    ...provider,
    ca,
    logIn: (account, scope = "openid offline_access", resource = audience) =>
      logIn(provider, ask, account, { scope, resource }),
    revoke: async (token) => {
      const form = { token, client_id: provider.clientId };
      const { status } = await ask(`${provider.issuer}/token/revocation`, { form });
      if (status !== 200) throw new Error(`the revocation was answered with ${status}`);
    },
    exchange: async (code, redirect_uri, code_verifier) => {
      const grant = { grant_type: "authorization_code", client_id: provider.clientId };
      const form = { ...grant, code, redirect_uri, code_verifier };
      const { status, body } = await ask(`${provider.issuer}/token`, { form });
      return status === 200 ? status : JSON.parse(body).error;
    },
    appToken: async (id, secret, resource = audience) => {
      const client = { client_id: id, client_secret: secret, resource };
      const form = { grant_type: "client_credentials", ...client };
      return JSON.parse((await ask(`${provider.issuer}/token`, { form })).body);
    },
  };
}

/** What an `issuers.yaml` says of it. */
export function issuersText(provider: TestProvider, caFile: string, more = ""): string {
  return `issuers:
  idp:
    issuer: ${provider.issuer}
    audience: ${audience}
    caFile: ${caFile}
    algorithms: [ES256]
    attributes: { ward: ward }
${more}`;
}

/** What the policy says of its tokens; a role `doctor` has to ask for MFA itself. */
export const claimsText = `claims:
  - { issuer: idp, claim: groups, value: nurses, role: nurse }
  - { issuer: idp, claim: groups, value: doctors, role: doctor }
  - { issuer: idp, claim: groups, value: apps, role: tester }
`;

interface Question {
  readonly form?: Readonly<Record<string, string>>;
  readonly cookies?: Map<string, string>;
}

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

type Ask = (url: string, rest?: Question) => Promise<Answer>;

/** The authorization code flow with PKCE, as a browser and `wardmq login` go through it together. */
async function logIn(
  { issuer, clientId }: RunningProvider,
  ask: Ask,
  account: string,
  { scope, resource }: { readonly scope: string; readonly resource: string },
): Promise<LoggedIn> {
  const cookies = new Map<string, string>();
  const verifier = randomBytes(32).toString("base64url");
  const redirect = "http://127.0.0.1:49152/callback";
  const query = new URLSearchParams({
    client_id: clientId,
    response_type: "code",
    redirect_uri: redirect,
    scope,
    resource,
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
    prompt: "consent",
  });
  const at = await throughPages(`${issuer}/auth?${query}`, ask, account, cookies);
  const code = new URL(at).searchParams.get("code") ?? "";
  const exchange = {
    grant_type: "authorization_code",
    client_id: clientId,
    code,
    redirect_uri: redirect,
    code_verifier: verifier,
    resource,
  };
  const { status, body } = await ask(`${issuer}/token`, { form: exchange });
  if (status !== 200) throw new Error(`the token endpoint answered ${status}`);
  const logOut = async () => {
    const page = await ask(`${issuer}/session/end`, { cookies });
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? "";
    const form = { xsrf, logout: "yes" };
    const { status } = await ask(`${issuer}/session/end/confirm`, { cookies, form });
    if (status >= 400) throw new Error(`the logout was answered with ${status}`);
  };
  return { ...(JSON.parse(body) as Tokens), logOut };
}

/** Logs in as a browser would; gives the address that the browser is sent to at the end. */
export function logInAt(url: string, ca: string, account: string): Promise<string> {
  return throughPages(url, (at, rest = {}) => https(at, ca, rest), account);
}

/** Enters the code of a device where its person is told to, and logs in there. */
export async function enterCodeAt(
  url: string,
  ca: string,
  code: string,
  account: string,
): Promise<void> {
  const cookies = new Map<string, string>();
  let page = await https(url, ca, { cookies });
  for (const more of [{}, { confirm: "yes" }]) {
    const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.body)?.[1] ?? "";
    page = await https(url, ca, { cookies, form: { xsrf, user_code: code, ...more } });
  }
  const { origin } = new URL(url);
  for (let at = url, step = 0; step < 20; step += 1) {
    if (page.location !== undefined) at = new URL(page.location, at).href;
    else if (at.startsWith(`${origin}/interaction/`)) {
      const { location = "" } = await https(at, ca, { cookies, form: formOf(page, account) });
      at = new URL(location, at).href;
    } else if (step > 0) return;
    page = await https(at, ca, { cookies });
  }
  throw new Error("the login came to no end");
}

/** What a person would send at the page of the provider that asks for a login or for consent. */
function formOf({ body }: Answer, account: string): Readonly<Record<string, string>> {
  return body.includes('value="login"')
    ? { prompt: "login", login: account, password: "any" }
    : { prompt: "consent" };
}

async function throughPages(
  url: string,
  ask: Ask,
  account: string,
  cookies = new Map<string, string>(),
): Promise<string> {
  const { origin } = new URL(url);
  let at = url;
  for (let step = 0; step < 20; step += 1) {
    if (new URL(at).origin !== origin) return at;
    const page = await ask(at, { cookies });
    if (page.location !== undefined) at = new URL(page.location, at).href;
    else {
      const { location = "" } = await ask(at, { cookies, form: formOf(page, account) });
      at = new URL(location, at).href;
    }
  }
  throw new Error("the login came to no end");
}

export function https(url: string, ca: string, { form, cookies }: Question): Promise<Answer> {
  const body = form === undefined ? undefined : new URLSearchParams(form).toString();
  const cookie = [...(cookies ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      ca,
      method: body === undefined ? "GET" : "POST",
      headers: {
        ...(cookie === "" ? {} : { cookie }),
        ...(body === undefined
          ? {}
          : {
              "content-type": "application/x-www-form-urlencoded",
              "content-length": Buffer.byteLength(body),
            }),
      },
    });
    asked.on("error", reject);
    asked.on("response", (response) => {
      for (const line of response.headers["set-cookie"] ?? []) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        cookies?.set(name, value);
      }
      let text = "";
      response.on("data", (part) => {
        text += String(part);
      });
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          location: response.headers.location,
          body: text,
        }),
      );
    });
    asked.end(body);
  });
}
