/** The state of the world as control tells it to a broker. Everything here is JSON. */
import type { ListenerName } from "@wardmq/events";
import type { Issuer, TokenRevocation } from "@wardmq/tokens";
import type { MappingRule } from "@wardmq/x509";
import type { ShadowPolicy } from "./policy-use.ts";

export type SubjectKind = "device" | "service" | "person" | "app";

/** `superseded`: a newer certificate of the same device took over. Only an active one gets anybody in. */
export type CertificateState = "active" | "superseded" | "revoked";

export interface BoundCertificate {
  /** SHA-256 over the DER certificate, lower-case hex, 64 digits. */
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly state: CertificateState;
  /** The foreign CA that signed it; absent where it is ours. */
  readonly foreignCa?: string;
}

/** What its maker says of a device: told only where a foreign CA finds devices by it. */
export interface Origin {
  readonly maker: string;
  readonly serial: string;
}

/**
 * `active` may act as the policy says; `quarantined` may connect, and speak on its own `lifecycle` topic only. All
 * others get in nowhere: `registered` waits for its first certificate, `retired` was taken out of use, `revoked` was
 * thrown out. Control's registry has the transitions.
 */
export type SubjectState = "registered" | "active" | "quarantined" | "retired" | "revoked";

export interface SubjectRecord {
  /** `device:<uuid>` or `service:<name>`. */
  readonly id: string;
  readonly kind: SubjectKind;
  readonly state: SubjectState;
  /** `org`, `id`, and for devices `site`, `ward`, perhaps `model`. Closed alphabet `[A-Za-z0-9_-]{1,64}`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The one URI a certificate of this subject carries: `spiffe://<trust-domain>/device/<uuid>`. */
  readonly spiffeId: string;
  readonly certificates: readonly BoundCertificate[];
  readonly origin?: Origin;
}

/** A CA that is not ours, whose certificates get devices in: its anchor, whom they are for, and what it has revoked. */
export interface ForeignCa {
  readonly name: string;
  /** PEM of the CA that signs the certificates of devices itself. */
  readonly certificate: string;
  /** Devices of this site only; of every site where it is absent. */
  readonly site?: string;
  readonly mapping: MappingRule;
  /** From then on, milliseconds since 1970, its CRL is too old to let anybody in; 0 when there never was one. */
  readonly freshUntil: number;
  /** Serial numbers, lower-case hex of their magnitude. */
  readonly revoked: readonly string[];
}

/** By what a client proves who it is on a listener; one that accepts `nothing` is not opened. */
export type Proof = "nothing" | "certificate" | "token" | "both";

export interface ListenerSettings {
  /** An IP address to bind. */
  readonly address: string;
  /** 0 lets the system choose; the `ready` line tells. */
  readonly port: number;
  readonly accept: Proof;
}

/** Apps that come with a token count as services. */
export interface PerKind {
  readonly device: number;
  readonly service: number;
  readonly person: number;
}

/** The limits of `wardmq.yaml`, already validated; packages/config has the table with defaults and meaning. */
export interface Limits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  readonly connectionsPerSubject: PerKind;
  readonly sessionsPerSubject: PerKind;
  readonly acceptsPerSecond: number;
  readonly handshakes: number;
  readonly connectTimeoutMs: number;
  readonly preAuthBytes: number;
  readonly preAuthBytesTotal: number;
  readonly packetBytes: number;
  readonly clientIdBytes: number;
  readonly topicBytes: number;
  readonly topicLevels: number;
  readonly subscriptions: number;
  readonly inflight: number;
  readonly queuedMessages: number;
  readonly queuedBytes: number;
  readonly queuedBytesTotal: number;
  readonly messagesPerSecond: PerKind;
  readonly bytesPerSecond: PerKind;
  readonly userProperties: number;
  readonly keepAliveSeconds: { readonly min: number; readonly max: number };
  readonly sessionExpirySeconds: number;
  readonly topicAliases: number;
  readonly openCommands: number;
  readonly openCommandsPerRequester: number;
  readonly openCommandsPerDevice: number;
  readonly retainedSeconds: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  readonly storedBytes: number;
  readonly memoryBytes: number;
}

export interface BrokerSettings {
  readonly org: string;
  readonly environment: string;
  readonly trustDomain: string;
  /** Names a client may ask for by SNI; the server certificate carries all of them. */
  readonly hosts: readonly string[];
  readonly listeners: Readonly<Record<ListenerName, ListenerSettings>>;
  readonly tls: {
    readonly profile: "nist" | "modern";
    readonly minVersion: "TLSv1.3" | "TLSv1.2";
  };
  /** Origins a browser may open a WebSocket from; a request without Origin is not a browser and is let through. */
  readonly webSocketOrigins: readonly string[];
  /** How a client learns that a subscription is no longer allowed. */
  readonly lostSubscription: "disconnect" | "lifecycle";
  readonly limits: Limits;
  readonly feed: {
    /** From this age on what a broker knows of revocations lets nobody new in. */
    readonly maximumAgeSeconds: number;
  };
}

/** What devices are told on their own `lifecycle` topic, retained; an empty message takes it back. */
export interface LifecycleNotice {
  readonly message: string;
  /** Ids of subjects. */
  readonly devices: readonly string[];
}

export interface World {
  readonly settings: BrokerSettings;
  /** PEM certificates of the issuing CAs, the one that signs now first: where the certificationPath of a client must end. */
  readonly trustAnchors: readonly string[];
  readonly foreignCas: readonly ForeignCa[];
  /** PEM public keys (Ed25519) that may sign the feed from here on: the one in use, and its successor before it takes over. */
  readonly feedKeys: readonly string[];
  /** The parsed policy (packages/policy `Policy`), compiled by the broker. */
  readonly policy: unknown;
  /** Absent where no policy is on trial. */
  readonly shadow?: ShadowPolicy;
  /** Whose tokens count, with the keys they are signed with. */
  readonly issuers: readonly Issuer[];
  readonly revokedTokens: readonly TokenRevocation[];
  readonly subjects: readonly SubjectRecord[];
  readonly lifecycle?: readonly LifecycleNotice[];
}

/** What changed. Absent parts stay; `subjects` are put in place by id; `removedSubjects` go. */
export interface WorldChange {
  readonly settings?: BrokerSettings;
  readonly trustAnchors?: readonly string[];
  readonly foreignCas?: readonly ForeignCa[];
  readonly feedKeys?: readonly string[];
  readonly policy?: unknown;
  /** `null` ends the trial. */
  readonly shadow?: ShadowPolicy | null;
  readonly issuers?: readonly Issuer[];
  /** More of them: none counts again before it has ended by itself. */
  readonly revokedTokens?: readonly TokenRevocation[];
  readonly subjects?: readonly SubjectRecord[];
  readonly removedSubjects?: readonly string[];
  readonly lifecycle?: LifecycleNotice;
}
