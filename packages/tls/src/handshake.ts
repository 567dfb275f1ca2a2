import { printable, type SecurityEvent } from "@wardmq/events";
import { hasCipherSuite, type TlsSettings } from "./options.ts";

/** What the runtimes call a handshake that takes longer than `handshakeTimeout`. */
export const handshakeTimedOut = "ERR_TLS_HANDSHAKE_TIMEOUT";

const explanations: Readonly<Record<string, string>> = {
  [handshakeTimedOut]: "the handshake took too long",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "the client offered no TLS version that is allowed here",
  ERR_SSL_NO_SHARED_CIPHER: "the client offered no cipher suite that is allowed here",
  ERR_SSL_NO_APPLICATION_PROTOCOL:
    "the client offered other application protocols than this listener speaks",
  ERR_SSL_WRONG_VERSION_NUMBER: "the client does not speak TLS",
  ERR_SSL_HTTP_REQUEST: "the client speaks HTTP without TLS",
  ERR_SSL_NO_SUITABLE_KEY_SHARE: "the client offered no key exchange group that is allowed here",
  ERR_SSL_NO_SHARED_GROUP: "the client offered no key exchange group that is allowed here",
  ERR_SSL_WRONG_CURVE:
    "the client offered no cipher suite and key exchange group that are allowed together here",
  ECONNRESET: "the client went away during the handshake",
};

/** What a runtime's code for a handshake that failed means to an operator. */
export function explainHandshake(code: string | undefined): string {
  return explanations[code ?? ""] ?? "the TLS handshake failed";
}

/** What the TLS layer says about a connection before anybody looks at its certificate. */
export interface Negotiated {
  readonly serverName: string | undefined;
  /** As OpenSSL names it. */
  readonly cipherSuite: string;
}

export interface Refusal {
  /** The rule that was failed. */
  readonly check: string;
  readonly why: string;
}

/** What a handshake agreed on that no listener of ours may go on with: every door asks this first. */
export function refuseNegotiated(
  { serverName, cipherSuite }: Negotiated,
  { hosts, tls }: { readonly hosts: readonly string[]; readonly tls: TlsSettings },
): Refusal | undefined {
  if (serverName === undefined || !hosts.includes(serverName.toLowerCase())) {
    return {
      check: "sni",
      why: "the client asked for no host or one that is not configured under hosts",
    };
  }
  if (hasCipherSuite(tls, cipherSuite)) return undefined;
  return {
    check: "cipher-suite",
    why: "the client insisted on a cipher suite that the TLS profile does not have",
  };
}

interface PeerCertificate {
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  readonly fingerprint256: string;
}

/** A certificate (`X509Certificate`) for an event: names made printable. */
export function describeCertificate(
  certificate: PeerCertificate,
): NonNullable<SecurityEvent["certificate"]> {
  return {
    subject: printable(oneLine(certificate.subject)),
    issuer: printable(oneLine(certificate.issuer)),
    serialNumber: certificate.serialNumber.toLowerCase(),
    fingerprint: fingerprintOf(certificate.fingerprint256),
  };
}

/** SHA-256 over the DER as records have it, lower-case hex, from the runtimes' `AB:CD:..`. */
export function fingerprintOf(fingerprint256: string): string {
  return fingerprint256.replaceAll(":", "").toLowerCase();
}

function oneLine(name: string | undefined): string {
  return (name ?? "").replaceAll("\n", ", ");
}

/** The code of an error of TLS, or what it says. */
export function tlsErrorText(error: unknown): string | undefined {
  if (error === null || error === undefined) return undefined;
  if (typeof error === "string") return error;
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message;
}

/** The socket of `connection`: on Node a TLSSocket wraps it, and forgets its address when the peer is gone. */
export function tcpSocketOf<Socket extends object>(socket: Socket): Socket {
  return (socket as { _parent?: Socket | null })._parent ?? socket;
}
