/** What a value of `wardmq.yaml` may be. */
export type ValueType =
  | { readonly kind: "integer"; readonly minimum: number; readonly maximum: number }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  /** One text of a closed form. */
  | { readonly kind: "text"; readonly form: Form }
  | { readonly kind: "list"; readonly form: Form; readonly minimum: number };

/** A form of text: what it is called, how it is told apart, and what to write instead. */
export interface Form {
  readonly name: string;
  readonly accepts: (text: string) => boolean;
  readonly hint: string;
}

export type Value = string | number | readonly string[];

/** One key of `wardmq.yaml`: the parser, `init` and docs/config.md read the same row. */
export interface Option {
  /** Dotted, as `--set` takes it. */
  readonly key: string;
  readonly type: ValueType;
  /** Absent: the file has to say it. */
  readonly default?: Value;
  readonly unit?: string;
  /** What the value decides, and what happens when a limit is reached. */
  readonly summary: string;
  /** Whether a value is no weaker than the default protection; a value that is not becomes a finding. */
  readonly secure?: (value: Value) => boolean;
  /** The values that are not `secure`, in words. */
  readonly reported?: string;
  /** What they give away. */
  readonly weakness?: string;
}

const name: Form = {
  name: "a name of 1 to 64 characters A-Z, a-z, 0-9, _ and -",
  accepts: (text) => /^[A-Za-z0-9_-]{1,64}$/.test(text),
  hint: "write a name such as hospital-1",
};

const trustDomain: Form = {
  name: "a SPIFFE trust domain: 1 to 255 characters a-z, 0-9, ., _ and -",
  accepts: (text) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(text) && text.length <= 255,
  hint: "write a name in lower case such as prod.hospital-1",
};

const label = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const hostPattern = new RegExp(`^${label}(\\.${label})*$`);

/** A DNS name a client can ask for by SNI: lower case, no wildcard, no IP address. */
const hostName: Form = {
  name: "a DNS name in lower case",
  accepts: (text) => hostPattern.test(text) && text.length <= 253 && !/(^|\.)\d+$/.test(text),
  hint: "write a name such as mqtt.hospital.example; a client sends no server name for an IP address, so none works",
};

const ipAddress: Form = {
  name: "an IP address",
  accepts: (text) => isIPv4(text) || isIPv6(text),
  hint: "write 127.0.0.1 for this machine only, 0.0.0.0 or '::' (in quotes) for every interface, or the address of one interface",
};

function isIPv4(text: string): boolean {
  const parts = text.split(".");
  return (
    parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)
  );
}

function isIPv6(text: string): boolean {
  // A URL's parser knows every form of an IPv6 address; brackets and zones cannot come in through the alphabet.
  return /^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$/.test(text) && URL.canParse(`http://[${text}]/`);
}

const origin: Form = {
  name: "an origin: scheme, host and port, nothing behind",
  accepts: (text) =>
    /^https?:\/\//.test(text) && URL.canParse(text) && new URL(text).origin === text,
  hint: "write what the browser sends, such as https://console.hospital.example",
};

const publicAddress: Form = {
  name: "an address that begins with http:// or https://",
  accepts: (text) =>
    /^https?:\/\/[!-~]+$/.test(text) &&
    text.length <= 255 &&
    isPublicUrl(text.replaceAll("{ca}", "0")),
  hint: "write an address such as http://pki.hospital.example/ocsp",
};

const addressOfCa: Form = {
  name: "an address that begins with http:// or https:// and names the CA as {ca}",
  accepts: (text) => publicAddress.accepts(text) && text.includes("{ca}"),
  hint: "write an address such as http://pki.hospital.example/crl/{ca}.crl: each CA has its own",
};

const absolutePath: Form = {
  name: "the absolute path of a file, or nothing",
  accepts: (text) => text === "" || (/^\/[^\0]*[^\0/]$/.test(text) && text.length <= 4096),
  hint: "write a path such as /var/lib/wardmq-anchor/hospital-1",
};

function isPublicUrl(text: string): boolean {
  if (!URL.canParse(text) || /[{}]/.test(text)) return false;
  const { username, password } = new URL(text);
  return username + password === "";
}

const port: ValueType = { kind: "integer", minimum: 0, maximum: 65_535 };

const systemChooses = "0 lets the system choose, the line `ready` tells";

/** Where a listener is, on this machine alone unless the file says otherwise. */
function listener(
  name: string,
  portByDefault: number,
  summary: { readonly address: string; readonly port: string },
): readonly Option[] {
  return [
    {
      key: `listeners.${name}.address`,
      type: { kind: "text", form: ipAddress },
      default: "127.0.0.1",
      summary: summary.address,
    },
    {
      key: `listeners.${name}.port`,
      type: port,
      default: portByDefault,
      summary: summary.port,
    },
  ];
}

/** What a listener accepts; where it is more than certificates, a peer without one reaches the check of its token. */
function accept(listener: string, value: string, values: readonly string[]): Option {
  return {
    key: `listeners.${listener}.accept`,
    type: { kind: "choice", values },
    default: value,
    summary: `by what a client proves who it is: ${values.map((one) => acceptMeans[one]).join(", ")}`,
    secure: (chosen) => chosen === value,
    reported: `\`${values.at(-1)}\``,
    weakness: "whoever holds a token of an issuer of issuers.yaml gets in, from any machine",
  };
}

const acceptMeans: Readonly<Record<string, string>> = {
  nothing: "`nothing` keeps the listener closed",
  certificate: "`certificate` is one of a registered subject",
  token: "`token` is an access token as the MQTT password",
  both: "`both` lets a client come with a token, by which it is judged even if it has a certificate",
};

const kB = 1024;
const MB = 1024 * kB;
const GB = 1024 * MB;

function limit(
  key: string,
  value: number,
  [minimum, maximum]: readonly [number, number],
  rest: Pick<Option, "summary"> & Partial<Option>,
): Option {
  return {
    key: `limits.${key}`,
    type: { kind: "integer", minimum, maximum },
    default: value,
    ...rest,
  };
}

const atMost = (maximum: number): Required<Pick<Option, "secure" | "reported">> => ({
  secure: (value) => Number(value) <= maximum,
  reported: `more than ${maximum}`,
});

/** Every key of `wardmq.yaml`, one row each. */
export const options: readonly Option[] = [
  {
    key: "org",
    type: { kind: "text", form: name },
    summary:
      "the organisation; the first level of every topic and the attribute `org` of every subject",
  },
  {
    key: "environment",
    type: { kind: "text", form: name },
    default: "prod",
    summary:
      "what the deployment is for, such as `prod` or `test`; no certificate of one is valid in another",
  },
  {
    key: "trustDomain",
    type: { kind: "text", form: trustDomain },
    default: "{environment}.{org}",
    summary:
      "the SPIFFE trust domain in every certificate; from environment and org, in lower case, when left out",
  },
  {
    key: "hosts",
    type: { kind: "list", form: hostName, minimum: 1 },
    summary:
      "the names clients use; a handshake that asks for another name (SNI), or for none, is refused",
  },
  ...listener("mqtts", 8883, {
    address: "where MQTT over TLS is served; `0.0.0.0` or `::` opens it to every interface",
    port: `the port of MQTT over TLS; ${systemChooses}`,
  }),
  accept("mqtts", "certificate", ["certificate", "both"]),
  ...listener("wss", 8884, {
    address: "where MQTT over WebSocket over TLS is served, under the path `/mqtt`",
    port: `the port of MQTT over WebSocket; ${systemChooses}`,
  }),
  accept("wss", "certificate", ["certificate", "both"]),
  ...listener("tokenMqtts", 8886, {
    address: "where MQTT over TLS is served to people and apps, whose access token is the password",
    port: "the port of MQTT over TLS for people and apps",
  }),
  accept("tokenMqtts", "nothing", ["nothing", "token"]),
  ...listener("tokenWss", 8885, {
    address:
      "where MQTT over WebSocket over TLS is served to people and apps, under the path `/mqtt`",
    port: "the port of MQTT over WebSocket for people and apps",
  }),
  accept("tokenWss", "nothing", ["nothing", "token"]),
  ...listener("est", 8443, {
    address: "where devices enrol (EST), and where CRLs and OCSP answers are served",
    port: `the port of EST; ${systemChooses}`,
  }),
  ...listener("api", 9443, {
    address: "where the API of operators is served",
    port: `the port of the API; ${systemChooses}`,
  }),
  {
    key: "certificates.crl",
    type: { kind: "list", form: addressOfCa, minimum: 0 },
    default: [],
    summary:
      "where others find the CRL of the CA that issued a certificate (CRL distribution point): control serves it at `/crl/{ca}.crl` of `listeners.est`; `{ca}` is the id of the CA",
  },
  {
    key: "certificates.ocsp",
    type: { kind: "list", form: publicAddress, minimum: 0 },
    default: [],
    summary:
      "where others ask for the state of a certificate (authority information access): control answers at `/ocsp` of `listeners.est`",
  },
  {
    key: "certificates.caIssuers",
    type: { kind: "list", form: addressOfCa, minimum: 0 },
    default: [],
    summary:
      "where others find the certificate of the CA that issued one (authority information access): control serves it at `/ca/{ca}.cer` of `listeners.est`",
  },
  {
    key: "tls.profile",
    type: { kind: "choice", values: ["nist", "modern"] },
    default: "nist",
    summary:
      "`nist`: AES-GCM suites, P-256 and P-384 and their hybrids with ML-KEM; `modern` adds ChaCha20-Poly1305 and X25519 alone",
    secure: (value) => value === "nist",
    reported: "`modern`",
    weakness: "clients may choose ChaCha20-Poly1305 and X25519, which are outside of FIPS 140",
  },
  {
    key: "tls.minVersion",
    type: { kind: "choice", values: ["TLSv1.3", "TLSv1.2"] },
    default: "TLSv1.3",
    summary: "the oldest TLS version a client may use",
    secure: (value) => value === "TLSv1.3",
    reported: "`TLSv1.2`",
    weakness: "TLS 1.2 sends the client's certificate, and so its identity, in the clear",
  },
  {
    key: "listeners.est.minVersion",
    type: { kind: "choice", values: ["TLSv1.3", "TLSv1.2"] },
    default: "TLSv1.3",
    summary:
      "the oldest TLS version a device may enrol with; strongSwan's `pki --est` knows 1.2 only",
    secure: (value) => value === "TLSv1.3",
    reported: "`TLSv1.2`",
    weakness: "TLS 1.2 sends the certificate of a device that enrols again in the clear",
  },
  {
    key: "webSocketOrigins",
    type: { kind: "list", form: origin, minimum: 0 },
    default: [],
    summary:
      "origins a browser may open a WebSocket from; a request without an origin does not come from a browser's page and is let through",
    secure: (value) => Array.isArray(value) && value.every((item) => item.startsWith("https://")),
    reported: "an origin with http:",
    weakness:
      "a page that was loaded without TLS may have been changed on its way and could use the browser's certificate",
  },
  {
    key: "lostSubscription",
    type: { kind: "choice", values: ["disconnect", "lifecycle"] },
    default: "disconnect",
    summary:
      "how a client learns that a subscription of an open connection is no longer allowed: `disconnect` ends the connection (DISCONNECT 0x87 on 5.0); `lifecycle` tells a device on its lifecycle topic and lets it stay, and ends the connection of whoever does not read one",
  },
  {
    key: "feed.maximumAgeSeconds",
    type: { kind: "integer", minimum: 60, maximum: 30 * 86_400 },
    default: 86_400,
    unit: "s",
    summary:
      "how long a broker that hears nothing from control lets new connections in; it raises an alarm at half of it, and open connections stay",
    ...atMost(86_400),
    weakness: "a broker that is cut off lets revoked devices in for longer than a day",
  },
  {
    key: "anchor",
    type: { kind: "text", form: absolutePath },
    default: "",
    summary:
      "a file outside of the deployment's folder, on another disk or another machine, in which control keeps where registry and broker's store stand: with it an older copy of the whole folder is noticed at the next start; from its next start on",
  },
  limit("connections", 25_000, [1, 1_000_000], {
    summary: "open connections in all; one beyond is closed before TLS",
  }),
  limit("connectionsPerAddress", 5_000, [1, 1_000_000], {
    summary:
      "open connections from one IP address (IPv6: one /64); a connection beyond is closed before TLS",
  }),
  limit("connectionsPerSubject.device", 1, [1, 1_000], {
    summary:
      "open connections of one device; a CONNECT beyond is refused with 0x97, but one with the same client id takes over",
    ...atMost(1),
    weakness: "a copied device credential can be used beside the device without anybody noticing",
  }),
  limit("connectionsPerSubject.service", 100, [1, 1_000_000], {
    summary: "open connections of one service; a CONNECT beyond is refused with 0x97",
  }),
  limit("connectionsPerSubject.person", 10, [1, 1_000], {
    summary: "open connections of one person; a CONNECT beyond is refused with 0x97",
    ...atMost(100),
    weakness: "a stolen token can be used many times beside its owner",
  }),
  limit("sessionsPerSubject.device", 1, [1, 1_000], {
    summary:
      "sessions of one device, with a connection or without; a CONNECT whose session would be kept beside them is refused with 0x97",
  }),
  limit("sessionsPerSubject.service", 1_000, [1, 1_000_000], {
    summary:
      "sessions of one service, with a connection or without; a CONNECT whose session would be kept beside them is refused with 0x97",
  }),
  limit("sessionsPerSubject.person", 20, [1, 10_000], {
    summary:
      "sessions of one person, with a connection or without; a CONNECT whose session would be kept beside them is refused with 0x97",
  }),
  limit("acceptsPerSecond", 1_000, [1, 1_000_000], {
    summary: "connections accepted in a second; more are closed before TLS",
  }),
  limit("handshakes", 500, [1, 100_000], {
    summary:
      "TLS handshakes at once; more are closed before TLS, but an address of a subject seen before takes the place of a stranger",
  }),
  limit("connectTimeoutMs", 10_000, [100, 120_000], {
    unit: "ms",
    summary:
      "from accept to a complete CONNECT, the TLS handshake included; then the connection is closed",
    ...atMost(30_000),
    weakness: "a peer without an identity can hold a connection for long",
  }),
  limit("preAuthBytes", 16 * kB, [4 * kB, MB], {
    unit: "bytes",
    summary: "what one connection may send before it has an identity; then it is closed",
    ...atMost(16 * kB),
    weakness: "a peer without an identity can make more than 20 kB be kept",
  }),
  limit("preAuthBytesTotal", 16 * MB, [16 * kB, GB], {
    unit: "bytes",
    summary: "what unfinished CONNECT packets may hold together; one beyond closes its connection",
  }),
  limit("packetBytes", MB, [128, 268_435_460], {
    unit: "bytes",
    summary:
      "the largest packet taken (Maximum Packet Size); a larger one closes the connection with 0x95",
  }),
  limit("clientIdBytes", 256, [23, 65_535], {
    unit: "bytes",
    summary: "the longest client identifier; a CONNECT with a longer one is refused with 0x85",
  }),
  limit("topicBytes", 1_024, [1, 65_535], {
    unit: "bytes",
    summary: "the longest Topic Name (else 0x90) or Topic Filter (else 0x8F)",
  }),
  limit("topicLevels", 16, [1, 1_024], {
    summary: "the most levels of a Topic Name (else 0x90) or Topic Filter (else 0x8F)",
  }),
  limit("subscriptions", 100, [1, 100_000], {
    summary: "subscriptions of one session; one beyond is refused with 0x97",
  }),
  limit("inflight", 256, [1, 65_535], {
    summary: "unacknowledged QoS 1 and 2 messages of one connection, each way (Receive Maximum)",
  }),
  limit("queuedMessages", 10_000, [1, 10_000_000], {
    summary:
      "messages that wait for one session; for a further one the oldest of the least important is dropped, with an event",
  }),
  limit("queuedBytes", 8 * MB, [kB, 64 * GB], {
    unit: "bytes",
    summary:
      "bytes that wait for one session, in memory and on disk; for further ones the oldest of the least important are dropped, with an event",
  }),
  limit("queuedBytesTotal", 256 * MB, [kB, 1_024 * GB], {
    unit: "bytes",
    summary:
      "bytes that wait for all sessions together; for further ones the oldest of the least important of their session are dropped, with an event",
  }),
  limit("messagesPerSecond.device", 500, [1, 10_000_000], {
    summary:
      "messages taken from one connection of a device in a second; reading slows down, nothing is dropped",
  }),
  limit("messagesPerSecond.service", 50_000, [1, 10_000_000], {
    summary:
      "messages taken from one connection of a service in a second; reading slows down, nothing is dropped",
  }),
  limit("messagesPerSecond.person", 50, [1, 10_000_000], {
    summary:
      "messages taken from one connection of a person in a second; reading slows down, nothing is dropped",
  }),
  limit("bytesPerSecond.device", 2 * MB, [kB, 64 * GB], {
    unit: "bytes/s",
    summary:
      "bytes taken from one connection of a device in a second; reading slows down, nothing is dropped",
  }),
  limit("bytesPerSecond.service", 128 * MB, [kB, 64 * GB], {
    unit: "bytes/s",
    summary:
      "bytes taken from one connection of a service in a second; reading slows down, nothing is dropped",
  }),
  limit("bytesPerSecond.person", 256 * kB, [kB, 64 * GB], {
    unit: "bytes/s",
    summary:
      "bytes taken from one connection of a person in a second; reading slows down, nothing is dropped",
  }),
  limit("userProperties", 32, [0, 10_000], {
    summary: "User Properties in one packet; a packet with more is refused",
  }),
  limit("keepAliveSeconds.min", 5, [1, 65_535], {
    unit: "s",
    summary:
      "the shortest keep alive; a client that asks for less is told this one (Server Keep Alive)",
  }),
  limit("keepAliveSeconds.max", 600, [1, 65_535], {
    unit: "s",
    summary:
      "the longest keep alive; a client that asks for more, or for none, is told this one (Server Keep Alive)",
    ...atMost(3_600),
    weakness: "a connection whose device is gone stays open for more than an hour",
  }),
  limit("sessionExpirySeconds", 7 * 86_400, [0, 4_294_967_294], {
    unit: "s",
    summary:
      "how long a session is kept after its connection ended; a client that asks for more gets this",
  }),
  limit("topicAliases", 16, [0, 65_535], {
    summary: "topic aliases of one connection, each way (Topic Alias Maximum)",
  }),
  limit("openCommands", 10_000, [0, 10_000_000], {
    summary:
      "commands that wait for the answer of their device; a further one is refused with 0x97 until another is answered or its time is over",
  }),
  limit("openCommandsPerRequester", 1_000, [0, 1_000_000], {
    summary:
      "commands of one subject that wait for their answers; a further one is refused with 0x97",
  }),
  limit("openCommandsPerDevice", 16, [0, 10_000], {
    summary: "commands that one device has not answered; a further one is refused with 0x97",
  }),
  limit("retainedSeconds", 30 * 86_400, [1, 315_360_000], {
    unit: "s",
    summary:
      "the longest life of a retained message; one that says nothing, or asks for more, gets this",
    ...atMost(366 * 86_400),
    weakness: "what a device is told when it connects may be older than anybody remembers",
  }),
  limit("retainedMessages", 100_000, [0, 100_000_000], {
    summary:
      "retained messages in all; a further topic is refused with 0x97, a kept one can be replaced",
  }),
  limit("retainedBytes", 64 * MB, [0, 64 * GB], {
    unit: "bytes",
    summary: "bytes of retained messages in all; what would exceed them is refused with 0x97",
  }),
  limit("storedBytes", GB, [MB, 1_024 * GB], {
    unit: "bytes",
    summary:
      "what is kept on disk in all; beyond it messages that would be stored are refused with 0x97; the file may be twice as large, and 64 MiB at least",
  }),
  limit("memoryBytes", GB, [MB, 1_024 * GB], {
    unit: "bytes",
    summary:
      "what clients make the broker hold in all; beyond it CONNECTs, subscriptions and retained messages are refused with 0x97, and messages that would wait are dropped, with an event",
  }),
];
