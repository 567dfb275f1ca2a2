import { X509Certificate } from "node:crypto";
import { request } from "node:https";
import { printable } from "@wardmq/events";
import { decodeCertsOnly, sameBytes, X509Error } from "@wardmq/x509";
import { Failure, systemCode } from "../failure.ts";
import { serverNameOf } from "../remote.ts";
import type { OpensslKey } from "./device-key.ts";
import { askByOpenssl } from "./openssl-client.ts";

/** How a device is told: by nothing yet, its one-time code, or a certificate. */
export type Proof = { readonly id: string; readonly code: string } | CertificateProof;

/** Key and certificate in PEM; or a key in hardware, which the program openssl uses, and the file of its certificate. */
export type CertificateProof =
  | { readonly key: string; readonly cert: string }
  | { readonly hardware: OpensslKey; readonly certificatePath: string };

/** An EST server that is trusted for its certificate's path to one of `ca`, in PEM. */
export interface EstServer {
  readonly url: URL;
  readonly ca: string;
}

const answerTimeoutMs = 30_000;
const longestAnswer = 1024 * 1024;

export function estUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.username === "" && url.password === "") return url;
  throw new Failure(2, `${printable(text)} is no https URL`, "write https://HOST:8443");
}

/**
 * RFC 7030 section 4.1.1: asks a server that is not trusted yet for its CAs, and takes the one with this fingerprint
 * (SHA-256, 64 hex digits) and nothing else of what it says. In PEM.
 */
export async function pinnedCa(url: URL, fingerprint: string): Promise<string> {
  const answer = await send({ url }, "GET", "cacerts");
  const pin = Buffer.from(fingerprint, "hex");
  const found = authoritiesIn(answer).find(({ fingerprint256 }) =>
    sameBytes(Buffer.from(fingerprint256.replaceAll(":", ""), "hex"), pin),
  );
  if (found !== undefined) return found.toString();
  throw new Failure(
    1,
    `no CA of ${printable(url.host)} has the fingerprint that was given: somebody may stand in between`,
    "compare it: openssl x509 -in DIR/control/root-ca.pem -noout -fingerprint -sha256",
  );
}

/** The CAs of a server that is trusted: RFC 7030 section 4.1.3 lets them take the place of those before. */
export async function caCertificates(server: EstServer): Promise<readonly X509Certificate[]> {
  return authoritiesIn(await send(server, "GET", "cacerts"));
}

/** Sends a PKCS#10 request (DER) and gives the certificate that was issued for it. */
export async function enrolAt(
  server: EstServer,
  operation: "simpleenroll" | "simplereenroll",
  proof: Proof,
  certificateRequest: Uint8Array,
): Promise<X509Certificate> {
  const body = Buffer.from(certificateRequest).toString("base64");
  const [issued, ...more] = authoritiesIn(await send(server, "POST", operation, proof, body));
  if (issued === undefined || more.length > 0) throw noEst();
  return issued;
}

function authoritiesIn(base64: string): readonly X509Certificate[] {
  try {
    return decodeCertsOnly(Buffer.from(base64, "base64")).map((der) => new X509Certificate(der));
  } catch (error) {
    if (error instanceof X509Error || systemCode(error)?.startsWith("ERR_") === true) throw noEst();
    throw error;
  }
}

async function send(
  server: Partial<EstServer> & Pick<EstServer, "url">,
  method: "GET" | "POST",
  operation: string,
  proof?: Proof,
  body?: string,
): Promise<string> {
  const target = new URL(`/.well-known/est/${operation}`, server.url);
  const { ca } = server;
  const inHardware = proof !== undefined && "hardware" in proof;
  if (!inHardware || ca === undefined)
    return sendByNode(server, method, operation, inHardware ? undefined : proof, body);
  const { status, text } = askByOpenssl({ target, ca, body: body ?? "", ...proof });
  if (status === 200) return text;
  throw refusal(status, text);
}

function sendByNode(
  { url, ca }: Partial<EstServer> & Pick<EstServer, "url">,
  method: "GET" | "POST",
  operation: string,
  proof: Exclude<Proof, { hardware: unknown }> | undefined,
  body: string | undefined,
): Promise<string> {
  const target = new URL(`/.well-known/est/${operation}`, url);
  const withCode = proof !== undefined && "code" in proof;
  const basic = withCode ? Buffer.from(`${proof.id}:${proof.code}`).toString("base64") : undefined;
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => reject(unreachable(target, error, proof));
    const asked = request(
      target,
      {
        method,
        ...serverNameOf(target),
        minVersion: "TLSv1.3",
        agent: false,
        rejectUnauthorized: ca !== undefined, // pinnedCa alone has none, and believes nothing
        ...(ca === undefined ? {} : { ca }),
        ...(proof === undefined || withCode ? {} : proof),
        headers: {
          ...(basic === undefined ? {} : { authorization: `Basic ${basic}` }),
          ...(body === undefined
            ? {}
            : { "content-type": "application/pkcs10", "content-length": Buffer.byteLength(body) }),
        },
      },
      (response) => {
        let text = "";
        response.setEncoding("latin1");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (text.length > longestAnswer) asked.destroy(new Error("the answer is too long"));
        });
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          if (status === 200) resolve(text);
          else reject(refusal(status, text));
        });
        response.on("error", fail);
      },
    );
    asked.setTimeout(answerTimeoutMs, () => asked.destroy(new Error("no answer in time")));
    asked.on("error", fail);
    asked.end(body);
  });
}

const hints: Readonly<Record<number, string>> = {
  401: "have an operator make a new one: wardmq device code DIR device:UUID",
  429: "wait a minute",
};

function refusal(status: number, text: string): Failure {
  const why = printable(text.trim(), 300);
  const message = `the device was not enrolled: ${why === "" ? `status ${status}` : why}`;
  return new Failure(1, message, hints[status] ?? "");
}

/** What TLS says of a host that is not the one that was meant, by the code of its error. */
const untrusted: readonly (readonly [code: RegExp, message: string, hint: string])[] = [
  [
    /ALTNAME/,
    "its certificate is for another host",
    "write the host as the deployment has it, or add it: listeners.hosts in wardmq.yaml",
  ],
  [
    /SELF_SIGNED|ISSUER|LEAF_SIGNATURE|CERT_SIGNATURE|UNTRUSTED/,
    "its certificate does not lead to the CA that is trusted",
    "check the URL and the CA: somebody may stand in between",
  ],
  [/^ENOTFOUND$|^EAI_AGAIN$/, "the host is not known", "check the name and the DNS of this device"],
  [/^ECONNREFUSED$|ConnectionRefused/, "nobody listens there", "check the port, and wardmq serve"],
];

function unreachable({ host }: URL, error: Error, proof: Proof | undefined): Failure {
  const code = systemCode(error) ?? error.message;
  const at = printable(host);
  const known = untrusted.find(([pattern]) => pattern.test(code));
  if (known !== undefined) return new Failure(1, `${at}: ${known[1]}`, known[2]);
  const why = `no answer from ${at}: ${printable(code)}`;
  if (proof === undefined || "code" in proof)
    return new Failure(1, why, "check that it is an EST server with TLS 1.3");
  return new Failure(
    1,
    `${why}; it may have ended the handshake because the certificate of this device is revoked or expired`,
    "have an operator look at wardmq events, or enrol with a new code",
  );
}

function noEst(): Failure {
  return new Failure(1, "the answer is not what EST gives", "check that the URL is that of EST");
}
