/** What `tls` in wardmq.yaml says. */
export interface TlsSettings {
  readonly profile: "nist" | "modern";
  readonly minVersion: "TLSv1.3" | "TLSv1.2";
}

interface Profile {
  readonly tls13: string;
  readonly tls12: string;
  readonly groups: string;
}

const nist: Profile = {
  tls13: "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
  tls12:
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256",
  groups: "X25519MLKEM768:P-256:P-384",
};

/** TLS profiles by their id. `nist` follows NIST SP 800-52r2: X25519 only in the hybrid with ML-KEM, no ChaCha20. */
export const profiles: Readonly<Record<TlsSettings["profile"], Profile>> = {
  nist,
  modern: {
    tls13: "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
    tls12: `${nist.tls12}:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305`,
    groups: "X25519MLKEM768:X25519:P-256:P-384",
  },
};

/** The key and certificate of the server, and what a client's certificate must lead to. */
export interface Credentials {
  readonly key: string;
  /** Leaf first, then its issuing CAs. */
  readonly certificate: string;
  /** The CAs that issue client certificates: a path ends at one of them, self-signed or not. */
  readonly trustAnchors: readonly string[];
}

/** As `tls.createSecureContext` and `setSecureContext` take them. */
export interface SecureContextOptions extends ProtocolOptions {
  readonly ca: string[];
  readonly allowPartialTrustChain: true;
  readonly key: string;
  readonly cert: string;
}

/** As `tls.createServer` takes them. */
export interface ListenerOptions extends SecureContextOptions {
  readonly requestCert: true;
  readonly rejectUnauthorized: false;
  readonly ALPNProtocols: string[];
  readonly handshakeTimeout: number;
}

interface ProtocolOptions {
  readonly minVersion: TlsSettings["minVersion"];
  readonly maxVersion: "TLSv1.3";
  readonly ciphers: string;
  readonly ecdhCurve: string;
  readonly honorCipherOrder: true;
  readonly secureOptions: number;
}

/** SSL_OP_NO_TICKET and SSL_OP_NO_RENEGOTIATION of OpenSSL and BoringSSL. */
const secureOptions = (1 << 14) | (1 << 30);

/**
 * Every option of a secure context, always all of them: `setSecureContext` does not merge, and what is left out falls
 * back to the runtime's defaults, TLS 1.2 and the public roots among them.
 */
export function secureContextOptions(
  tls: TlsSettings,
  { key, certificate, trustAnchors }: Credentials,
): SecureContextOptions {
  return {
    ...protocolOptions(tls),
    ca: [...trustAnchors],
    // A path ends at the issuing CA that control named: nothing else below the root is trusted with it.
    allowPartialTrustChain: true,
    key,
    cert: certificate,
  };
}

/**
 * The options of the listener itself. Versions and options of an SNI context are ignored by the runtimes, so they stand
 * here; tickets are off, because a resumed session would skip every check of the certificate. A handshake that names no
 * host is answered as well, to be refused by the door with its reason instead of one that the TLS library makes up.
 */
export function listenerOptions(
  tls: TlsSettings,
  credentials: Credentials,
  alpn: string,
  handshakeTimeout: number,
): ListenerOptions {
  return {
    ...secureContextOptions(tls, credentials),
    requestCert: true,
    // The door checks `authorized` itself, in one place: only then is the certificate there to be named in the event.
    rejectUnauthorized: false,
    ALPNProtocols: [alpn],
    handshakeTimeout,
  };
}

/** Whether the profile has this suite: BoringSSL has no choice of those of TLS 1.3, so the door asks afterwards. */
export function hasCipherSuite({ profile }: TlsSettings, name: string): boolean {
  const { tls13, tls12 } = profiles[profile];
  return `${tls13}:${tls12}`.split(":").includes(name);
}

function protocolOptions(tls: TlsSettings): ProtocolOptions {
  const profile = profiles[tls.profile];
  return {
    minVersion: tls.minVersion,
    maxVersion: "TLSv1.3",
    ciphers: tls.minVersion === "TLSv1.2" ? `${profile.tls13}:${profile.tls12}` : profile.tls13,
    ecdhCurve: profile.groups,
    honorCipherOrder: true,
    secureOptions,
  };
}
