import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";

/** What a person's tokens say; the name is what is typed at the login page, with any password. */
export interface Account {
  readonly groups: readonly string[];
  readonly ward?: string;
  readonly amr?: readonly string[];
}

export interface ProviderOptions {
  readonly key: string;
  readonly certificate: string;
  /** The one resource its tokens are for: the broker's audience, a URI. */
  readonly audience: string;
  readonly lifeSeconds: number;
  readonly accounts: Readonly<Record<string, Account>>;
  /** Apps that come for themselves (client credentials), with their secrets. */
  readonly apps?: Readonly<Record<string, { readonly secret: string } & Account>>;
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
}

const clientId = "wardmq-cli";

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
  const start = () => {
    handle = new Provider(issuer, configuration(options, keys)).callback();
  };
  start();
  return {
    issuer,
    clientId,
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
  { audience, lifeSeconds, accounts, apps = {} }: ProviderOptions,
  keys: readonly object[],
): Readonly<Record<string, unknown>> {
  const claimsOf = (account: Account | undefined) =>
    account && { groups: account.groups, ward: account.ward, amr: account.amr };
  const signed = { id_token_signed_response_alg: "ES256" };
  return {
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
      },
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
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async () => audience,
        useGrantedResource: async () => true,
        getResourceServerInfo: async () => ({
          audience,
          scope: "wardmq:publish wardmq:subscribe",
          accessTokenFormat: "jwt",
          accessTokenTTL: lifeSeconds,
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
    scopes: ["openid", "offline_access", "wardmq:publish", "wardmq:subscribe"],
    pkce: { required: () => true },
    findAccount: async (_: unknown, id: string) => ({
      accountId: id,
      claims: async () => ({ sub: id }),
    }),
    extraTokenClaims: async (
      _: unknown,
      { accountId, clientId: client }: { accountId?: string; clientId?: string },
    ) => claimsOf(accountId === undefined ? apps[client ?? ""] : accounts[accountId]),
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
