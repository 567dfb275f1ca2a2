import { createHash, randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { printable } from "@wardmq/events";
import { Failure } from "../failure.ts";
import type { Profile, StoredTokens } from "./profile.ts";

const timeoutMs = 10_000;
const loginMs = 5 * 60_000;
const maximumBytes = 256 * 1024;
const scope = "openid offline_access";

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** The endpoints of an OpenID Provider that a login needs, and what is trusted for them. */
export class IdentityProvider {
  readonly #profile: Profile;
  readonly #metadata: Readonly<Record<string, unknown>>;

  /** Reads the discovery document of the profile's issuer. */
  static async discover(profile: Profile): Promise<IdentityProvider> {
    const url = `${profile.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { status, body } = await ask(url, profile.issuerCa);
    if (status !== 200 || body["issuer"] !== profile.issuer) {
      throw new Failure(
        1,
        "the identity provider's discovery document is of another one",
        "correct issuer in the profile",
      );
    }
    return new IdentityProvider(profile, body);
  }

  private constructor(profile: Profile, metadata: Readonly<Record<string, unknown>>) {
    this.#profile = profile;
    this.#metadata = metadata;
  }

  /** Authorization code with PKCE and a loopback redirect (RFC 8252, RFC 7636). */
  async logInByBrowser(tell: (url: string) => void): Promise<StoredTokens> {
    const verifier = randomBytes(32).toString("base64url");
    const state = randomBytes(16).toString("base64url");
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
    try {
      const arrived = codeAt(server, state);
      const query = new URLSearchParams({
        client_id: this.#profile.clientId,
        response_type: "code",
        redirect_uri: redirect,
        scope,
        state,
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
        prompt: "consent",
      });
      for (const resource of this.#resources) query.append("resource", resource);
      tell(`${this.#endpoint("authorization_endpoint")}?${query}`);
      return await this.#tokens({
        grant_type: "authorization_code",
        code: await arrived,
        redirect_uri: redirect,
        code_verifier: verifier,
      });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  /** Device code (RFC 8628): the person logs in on another machine. */
  async logInByDevice(tell: (url: string, code: string) => void): Promise<StoredTokens> {
    const form = new URLSearchParams({ client_id: this.#profile.clientId, scope });
    for (const resource of this.#resources) form.append("resource", resource);
    const at = this.#endpoint("device_authorization_endpoint");
    const { status, body } = await ask(at, this.#profile.issuerCa, form);
    if (status !== 200) throw refused(body);
    tell(String(body["verification_uri"]), String(body["user_code"]));
    let seconds = Number(body["interval"] ?? 5);
    for (const end = Date.now() + loginMs; Date.now() < end; ) {
      await delay(seconds * 1000);
      const answer = await this.#ask({
        grant_type: "urn:ietf:params:oauth:grant-type:device_code",
        device_code: String(body["device_code"]),
      });
      if (answer.status === 200) return tokensOf(answer.body);
      const { error } = answer.body;
      if (error === "slow_down") seconds += 5;
      else if (error !== "authorization_pending") throw refused(answer.body);
    }
    throw new Failure(1, "nobody logged in within five minutes", "run wardmq login again");
  }

  /** A further token, for one of the resources that were asked for at the login (RFC 8707 section 2.2). */
  refresh(refreshToken: string, resource: string): Promise<StoredTokens> {
    return this.#tokens({ grant_type: "refresh_token", refresh_token: refreshToken, resource });
  }

  get #resources(): readonly string[] {
    const { audience, api } = this.#profile;
    return api === undefined ? [audience] : [audience, api.audience];
  }

  async #tokens(form: Readonly<Record<string, string>>): Promise<StoredTokens> {
    const { status, body } = await this.#ask(form);
    if (status !== 200) throw refused(body);
    return tokensOf(body);
  }

  #ask(form: Readonly<Record<string, string>>): Promise<Answer> {
    const { clientId, audience, issuerCa } = this.#profile;
    const whole = { client_id: clientId, resource: audience, ...form };
    return ask(this.#endpoint("token_endpoint"), issuerCa, new URLSearchParams(whole));
  }

  #endpoint(name: string): string {
    const url = this.#metadata[name];
    if (typeof url === "string" && url.startsWith("https://")) return url;
    throw new Failure(1, `the identity provider has no ${name}`, "ask its administrator for it");
  }
}

function tokensOf(body: Answer["body"]): StoredTokens {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: seconds } = body;
  if (typeof accessToken !== "string") {
    throw new Failure(1, "the identity provider gave no access token", "ask its administrator");
  }
  return {
    accessToken,
    ...(typeof refreshToken === "string" ? { refreshToken } : {}),
    expiresAt: Date.now() + Number(seconds ?? 60) * 1000,
  };
}

/** `error` of RFC 6749 section 5.2 is a word of a closed alphabet; nothing else of an answer is repeated. */
function refused({ error }: Answer["body"]): Failure {
  const why = typeof error === "string" ? printable(error, 60) : "without a reason";
  return new Failure(1, `the identity provider refused: ${why}`, "log in again with wardmq login");
}

/** The code that the browser brings to our loopback address, for our state only. */
function codeAt(server: Server, state: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(new Failure(1, "nobody logged in within five minutes", "run wardmq login again")),
      loginMs,
    );
    server.on("request", ({ url = "" }, response) => {
      const { pathname, searchParams } = new URL(url, "http://127.0.0.1");
      const isOurs = pathname === "/callback" && searchParams.get("state") === state;
      response.writeHead(isOurs ? 200 : 404, { "content-type": "text/plain", connection: "close" });
      response.end(isOurs ? "You may close this page.\n" : "Not here.\n");
      if (!isOurs) return;
      clearTimeout(timer);
      const code = searchParams.get("code");
      if (code !== null) resolve(code);
      else reject(refused({ error: searchParams.get("error") ?? undefined }));
    });
  });
}

function ask(url: string, ca: string | undefined, form?: URLSearchParams): Promise<Answer> {
  const body = form?.toString();
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      method: body === undefined ? "GET" : "POST",
      headers: {
        accept: "application/json",
        ...(body === undefined
          ? {}
          : {
              "content-type": "application/x-www-form-urlencoded",
              "content-length": Buffer.byteLength(body),
            }),
      },
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: true,
      agent: false,
    });
    const fail = (why: string) => {
      clearTimeout(timer);
      asked.destroy();
      reject(
        new Failure(
          1,
          `the identity provider could not be asked: ${why}`,
          "see that it runs and that its CA is in the profile",
        ),
      );
    };
    const timer = setTimeout(() => fail("it did not answer in time"), timeoutMs);
    asked.on("error", (error: NodeJS.ErrnoException) =>
      fail(error.code ?? "the connection failed"),
    );
    asked.on("response", (response) => {
      let text = "";
      response.on("data", (part: Buffer) => {
        text += part.toString("utf8");
        if (text.length > maximumBytes) fail("its answer is too long");
      });
      response.on("end", () => {
        clearTimeout(timer);
        try {
          resolve({ status: response.statusCode ?? 0, body: Object(JSON.parse(text)) });
        } catch {
          fail(`it answered ${response.statusCode} and no JSON`);
        }
      });
    });
    asked.end(body);
  });
}
