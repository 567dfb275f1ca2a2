import { createHash, randomBytes } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { printable } from "@wardmq/events";
import { Failure } from "../failure.ts";
import type { Profile, StoredTokens } from "./profile.ts";

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
  readonly #patienceMs: number;
  readonly #metadata: Answer["body"];

  /** Reads the discovery document of the profile's issuer. */
  static async discover(profile: Profile, patienceMs = 10_000): Promise<IdentityProvider> {
    const url = `${profile.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const { status, body } = await ask(url, profile.issuerCa, patienceMs);
    if (status !== 200 || body["issuer"] !== profile.issuer) {
      throw new Failure(
        1,
        "the identity provider's discovery document is of another one",
        "correct issuer in the profile",
      );
    }
    return new IdentityProvider(profile, patienceMs, body);
  }

  private constructor(profile: Profile, patienceMs: number, metadata: Answer["body"]) {
    this.#profile = profile;
    this.#patienceMs = patienceMs;
    this.#metadata = metadata;
  }

  /** Authorization code with PKCE and a loopback redirect (RFC 8252, RFC 7636). */
  async logInByBrowser(tell: (url: string) => void): Promise<StoredTokens> {
    const authorization = this.#endpoint("authorization_endpoint");
    const verifier = randomBytes(32).toString("base64url");
    const state = randomBytes(16).toString("base64url");
    const server = createServer();
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const redirect = `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`;
    const code = Promise.withResolvers<string>();
    const timer = setTimeout(() => code.reject(tooLate()), loginMs);
    try {
      server.on("request", callback(state, code));
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
      tell(`${authorization}?${query}`);
      return await this.#tokens({
        grant_type: "authorization_code",
        code: await code.promise,
        redirect_uri: redirect,
        code_verifier: verifier,
      });
    } finally {
      clearTimeout(timer);
      server.closeAllConnections();
      server.close();
    }
  }

  /** Device code (RFC 8628): the person logs in on another machine. */
  async logInByDevice(tell: (url: string, code: string) => void): Promise<StoredTokens> {
    const form = new URLSearchParams({ client_id: this.#profile.clientId, scope });
    for (const resource of this.#resources) form.append("resource", resource);
    const { status, body } = await this.#post("device_authorization_endpoint", form);
    if (status !== 200) throw refused(body);
    tell(String(body["verification_uri"]), String(body["user_code"]));
    let seconds = Number(body["interval"] ?? 5);
    for (const end = Date.now() + loginMs; Date.now() < end; ) {
      await delay(seconds * 1000);
      const answer = await this.#ask({
        grant_type: "urn:ietf:params:oauth:grant-type:device_code",
        device_code: String(body["device_code"]),
      }).catch((error) => {
        if (error instanceof Unanswered) return undefined;
        throw error;
      });
      if (answer === undefined) {
        seconds *= 2; // RFC 8628 section 3.5
        continue;
      }
      if (answer.status === 200) return tokensOf(answer.body);
      const { error } = answer.body;
      if (error === "slow_down") seconds += 5;
      else if (error !== "authorization_pending") throw refused(answer.body);
    }
    throw tooLate();
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
    const { clientId, audience } = this.#profile;
    const whole = { client_id: clientId, resource: audience, ...form };
    return this.#post("token_endpoint", new URLSearchParams(whole));
  }

  #post(endpoint: string, form: URLSearchParams): Promise<Answer> {
    return ask(this.#endpoint(endpoint), this.#profile.issuerCa, this.#patienceMs, form);
  }

  #endpoint(name: string): string {
    const url = this.#metadata[name];
    if (typeof url === "string" && URL.canParse(url) && url.startsWith("https://")) return url;
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

const tooLate = () =>
  new Failure(1, "nobody logged in within five minutes", "run wardmq login again");

/** Takes the code that the browser brings to our loopback address, for our state only. */
function callback(state: string, code: PromiseWithResolvers<string>): RequestListener {
  return ({ url = "" }, response) => {
    const base = "http://127.0.0.1";
    const { pathname, searchParams } = new URL(URL.canParse(url, base) ? url : "/", base);
    const isOurs = pathname === "/callback" && searchParams.get("state") === state;
    response.writeHead(isOurs ? 200 : 404, { "content-type": "text/plain", connection: "close" });
    response.end(isOurs ? "You may close this page.\n" : "Not here.\n");
    if (!isOurs) return;
    const brought = searchParams.get("code");
    if (brought !== null) code.resolve(brought);
    else code.reject(refused({ error: searchParams.get("error") ?? undefined }));
  };
}

/** The identity provider was asked and said nothing in time. */
class Unanswered extends Failure {}

function ask(
  url: string,
  ca: string | undefined,
  patienceMs: number,
  form?: URLSearchParams,
): Promise<Answer> {
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
    const fail = (why: string, Kind = Failure) => {
      clearTimeout(timer);
      asked.destroy();
      reject(
        new Kind(
          1,
          `the identity provider could not be asked: ${why}`,
          "see that it runs and that its CA is in the profile",
        ),
      );
    };
    const timer = setTimeout(() => fail("it did not answer in time", Unanswered), patienceMs);
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
