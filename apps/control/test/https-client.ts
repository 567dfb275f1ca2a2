import { readFileSync } from "node:fs";
import { type IncomingHttpHeaders, request } from "node:http";
import { join } from "node:path";
import { type ConnectionOptions, connect } from "node:tls";
import { newKey, type RunningControl, requestFor } from "./control-under-test.ts";

export interface Credential {
  readonly key: string;
  readonly cert: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  readonly json: Record<string, unknown>;
}

export interface Asked {
  readonly credential?: Credential | undefined;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly tls?: ConnectionOptions;
}

/** Registers an operator and gives a credential that works. */
export async function newOperator(
  control: RunningControl,
  name: string,
  role: "viewer" | "operator" | "security-officer",
): Promise<Credential> {
  await control.result("operator.add", { name, role });
  return credentialOfOperator(control, name);
}

/** A new key and certificate for an operator that is registered. */
export async function credentialOfOperator(
  control: RunningControl,
  name: string,
): Promise<Credential> {
  const key = newKey();
  const { certificateChain } = await control.result("operator.credential", {
    operator: `operator:${name}`,
    certificateRequest: await requestFor(key),
  });
  return {
    key: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: certificateChain,
  };
}

export function rootOf(control: RunningControl): string {
  return readFileSync(join(control.directory, "control/root-ca.pem"), "utf8");
}

/** The options of a TLS client that trusts this deployment. */
export function tlsTo(
  control: RunningControl,
  listener: "est" | "api",
  { credential, tls }: Pick<Asked, "credential" | "tls"> = {},
): ConnectionOptions {
  return {
    host: "127.0.0.1",
    port: control.port(listener),
    servername: "localhost",
    ca: rootOf(control),
    ALPNProtocols: ["http/1.1"],
    ...credential,
    ...tls,
  };
}

/** One request on a connection of its own; rejects when the door closes it. */
export function ask(
  control: RunningControl,
  listener: "est" | "api",
  path: string,
  asked: Asked = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body } = asked;
  return new Promise((resolve, reject) => {
    const socket = connect(tlsTo(control, listener, asked));
    socket.setTimeout(30_000, () => socket.destroy(new Error("no answer")));
    socket.once("error", reject);
    socket.once("secureConnect", () => {
      let text = "";
      const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const sent = request(
        {
          createConnection: () => socket,
          method,
          path,
          headers: { host: "localhost", connection: "close", ...length, ...headers },
        },
        (response) => {
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => {
            text += chunk;
          });
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              get json() {
                return JSON.parse(text) as Record<string, unknown>;
              },
            }),
          );
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  });
}

/** A call of the API with a JSON body. */
export function call(
  control: RunningControl,
  credential: Credential | undefined,
  route: string,
  body?: object,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const [method = "GET", path = "/"] = route.split(" ");
  return ask(control, "api", path, {
    credential,
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}
