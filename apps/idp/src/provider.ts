import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:https";
import type { AddressInfo } from "node:net";
import Provider, { errors } from "oidc-provider";
import { withLoginPages } from "./login-pages.ts";
import { memory } from "./memory.ts";
import {
  logoutSource,
  postLogoutSuccessSource,
  renderError,
  successSource,
  userCodeConfirmSource,
  userCodeInputSource,
} from "./provider-pages.ts";

/** What a person's tokens say; the name is what is typed at the login page, with any password. */
export interface Account {
  readonly groups: readonly string[];
  readonly ward?: string;
  readonly amr?: readonly string[];
  readonly acr?: string;
  /** The certificate its tokens are bound to, RFC 8705 section 3.1. */
  readonly cnf?: { readonly "x5t#S256": string };
}

/** What tokens are for: the brokers, the API, or another place; each has a URI. */
export interface Resource {
  readonly audience: string;
  /** `opaque` ones say nothing by themselves: whoever gets one asks here (RFC 7662). */
  readonly format: "jwt" | "opaque";
}

export interface ProviderOptions {
  readonly key: string;
  readonly certificate: string;
  /** The first is what a token is for that is asked for without one. */
  readonly resources: readonly Resource[];
  readonly lifeSeconds: number;
  readonly accounts: Readonly<Record<string, Account>>;
  /** Apps that come for themselves (client credentials), with their secrets. */
  readonly apps?: Readonly<Record<string, { readonly secret: string } & Account>>;
  /** Who may ask about tokens, with a secret. */
  readonly asking?: { readonly id: string; readonly secret: string };
  /** Port 0 lets the system choose. */
  readonly port?: number;
}

export interface RunningProvider extends AsyncDisposable {
  /** `https://localhost:PORT` */
  readonly issuer: string;
  /** The client that `wardmq login` is. */
  readonly clientId: string;
  /** New signing keys; of the former ones the first `kept` stay published. */
  rotate(kept: number): void;
  /** From the next login on, says there when somebody has logged out (OpenID Connect Back-Channel Logout 1.0). */
  tellLogoutsTo(place: LogoutPlace): void;
}

const clientId = "wardmq-cli";
const scopes = ["wardmq:publish", "wardmq:subscribe", "wardmq:role:viewer"] as const;

/** Where it says that somebody has logged out, and what that is trusted by. */
interface LogoutPlace {
  readonly url: string;
  readonly ca: string;
}

/** A real OpenID Provider on the loopback whose people log in with any password: for the demo and for tests. */
export async function startProvider(options: ProviderOptions): Promise<RunningProvider> {
  let keys = [newKey()];
  let handle: ReturnType<Provider["callback"]> = (_, response) =>
    void response.writeHead(503).end();
  const server = createServer(
    { key: options.key, cert: options.certificate },
    (request, response) => handle(request, response),
  );
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  let logout: LogoutPlace | undefined;
  const start = () => {
    const provider = new Provider(issuer, configuration(options, keys, logout));
    handle = withLoginPages(provider, provider.callback());
  };
  start();
  return {
    issuer,
    clientId,
    tellLogoutsTo: (place) => {
      logout = place;
      start();
    },
    rotate: (kept) => {
      keys = [newKey(), ...keys.slice(0, kept)];
      start();
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const kid = randomBytes(8).toString("hex");
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "ES256" };
}

function configuration(
  { resources, lifeSeconds, accounts, apps = {}, asking }: ProviderOptions,
  keys: readonly object[],
  logout: LogoutPlace | undefined,
): Readonly<Record<string, unknown>> {
  const claimsOf = (account: Account | undefined) =>
    account && {
      ...{ groups: account.groups, ward: account.ward, amr: account.amr, acr: account.acr },
      ...(account.cnf && { cnf: account.cnf }),
    };
  const signed = { id_token_signed_response_alg: "ES256" };
  return {
    adapter: memory(),
    jwks: { keys },
    cookies: { keys: [randomBytes(32).toString("base64url")] },
    clientDefaults: signed,
    clients: [
      {
        ...signed,
        client_id: clientId,
        client_name: "wardmq login",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        grant_types: [
          "authorization_code",
          "refresh_token",
          "urn:ietf:params:oauth:grant-type:device_code",
        ],
        ...(logout === undefined
          ? {}
          : {
              backchannel_logout_uri: logout.url,
              backchannel_logout_session_required: true,
            }),
      },
      ...(asking === undefined
        ? []
        : [
            {
              ...signed,
              client_id: asking.id,
              client_secret: asking.secret,
              redirect_uris: [],
              response_types: [],
              grant_types: [],
            },
          ]),
      ...Object.entries(apps).map(([id, { secret }]) => ({
        ...signed,
        client_id: id,
        client_secret: secret,
        redirect_uris: [],
        response_types: [],
        grant_types: ["client_credentials"],
      })),
    ],
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    ...(logout === undefined ? {} : { fetch: postTrusting(logout.ca) }),
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true, userCodeInputSource, userCodeConfirmSource, successSource },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: {
        enabled: asking !== undefined,
        allowedPolicy: async (_: unknown, client: { clientId: string }) =>
          client.clientId === asking?.id,
      },
      backchannelLogout: { enabled: logout !== undefined },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (_: unknown, __: unknown, one?: string | readonly string[]) =>
          one ?? resources[0]?.audience,
        useGrantedResource: async () => true,
        getResourceServerInfo: async (_: unknown, wanted: string) => {
          const resource = resources.find(({ audience }) => audience === wanted);
          if (resource === undefined) throw new errors.InvalidTarget();
          return {
            audience: wanted,
            scope: [...scopes].join(" "),
            accessTokenFormat: resource.format,
            accessTokenTTL: lifeSeconds,
            ...(resource.format === "jwt" ? { jwt: { sign: { alg: "ES256" } } } : {}),
          };
        },
      },
    },
    scopes: ["openid", "offline_access", ...scopes],
    renderError,
    pkce: { required: () => true },
    findAccount: async (_: unknown, id: string) => ({
      accountId: id,
      claims: async () => ({ sub: id }),
    }),
    extraTokenClaims: async (
      _: unknown,
      token: { accountId?: string; clientId?: string; sid?: string },
    ) => {
      const { accountId, clientId: client, sid } = token;
      const account = accountId === undefined ? apps[client ?? ""] : accounts[accountId];
      return { ...claimsOf(account), sid };
    },
    ttl: {
      AccessToken: lifeSeconds,
      ClientCredentials: lifeSeconds,
      DeviceCode: 600,
      Grant: 86_400,
      IdToken: 3_600,
      Interaction: 3_600,
      RefreshToken: 86_400,
      Session: 86_400,
    },
  };
}

/** `fetch` for the one request that the provider makes by itself: a logout token to who trusts a CA of its own. */
function postTrusting(ca: string) {
  return (
    url: URL | string,
    { body, headers }: { body?: unknown; headers?: Record<string, string> } = {},
  ) =>
    new Promise<Response>((resolve, reject) => {
      const text = String(body ?? "");
      const asked = request(url, {
        ca,
        method: "POST",
        agent: false,
        headers: {
          ...Object.fromEntries(new Headers(headers)),
          "content-length": Buffer.byteLength(text),
        },
      });
      asked.on("error", reject);
      asked.on("response", (response) => {
        response.resume();
        response.on("end", () =>
          resolve(new Response(null, { status: response.statusCode ?? 500 })),
        );
      });
      asked.end(text);
    });
}
