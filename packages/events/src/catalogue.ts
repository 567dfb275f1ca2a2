export type Severity = "info" | "notice" | "warning" | "alert";

export interface EventDefinition {
  readonly severity: Severity;
  readonly summary: string;
}

/** Every kind of security event, one row each. docs/events.md lists the same rows and a test compares them. */
export const eventTypes = {
  "broker-started": { severity: "info", summary: "the broker accepts connections" },
  "broker-stopping": { severity: "info", summary: "the broker drains and ends" },
  "handshake-refused": {
    severity: "warning",
    summary: "a TLS handshake ended without an identity; `check` names the rule it failed",
  },
  "connection-shed": {
    severity: "warning",
    summary:
      "a connection was closed before TLS because `limit` was reached, or because tokens from there are banned (`check`)",
  },
  "connect-refused": {
    severity: "warning",
    summary: "an authenticated peer's CONNECT was refused; `check` names the rule it failed",
  },
  connected: { severity: "info", summary: "a client connected" },
  disconnected: { severity: "info", summary: "a client's network connection ended" },
  "session-taken-over": {
    severity: "notice",
    summary: "a subject connected again with the client id of its open connection",
  },
  "publish-denied": { severity: "warning", summary: "a PUBLISH was not allowed by the policy" },
  "subscribe-denied": { severity: "warning", summary: "a SUBSCRIBE was not allowed by the policy" },
  "will-denied": { severity: "warning", summary: "a will was not allowed, when set or when sent" },
  "delivery-denied": {
    severity: "warning",
    summary: "a queued or retained message was withheld because the right to it is gone",
  },
  "command-denied": {
    severity: "warning",
    summary:
      "a command was refused: it does not say where its answer goes and by what it is known, or another one is known by that",
  },
  "response-denied": {
    severity: "warning",
    summary:
      "an answer was refused; `check` says whether it was unsolicited, late, a second one, or not the device's own (crossed)",
  },
  "topic-scan": {
    severity: "alert",
    summary:
      "a subject tried many different topics that are denied to it, within a minute; from then on its denials are counted without their topics",
  },
  "phi-blocked": {
    severity: "alert",
    summary:
      "a client wrote what looks like an identifier of a patient, and it was refused; `details` has place, position and a keyed hash",
  },
  "phi-suspected": {
    severity: "warning",
    summary: "a client wrote what may be an identifier of a patient, and it passed",
  },
  "protocol-error": { severity: "warning", summary: "a peer broke the protocol" },
  "limit-reached": {
    severity: "warning",
    summary: "a limit of wardmq.yaml refused something a peer asked for",
  },
  "messages-dropped": {
    severity: "warning",
    summary: "messages for a session were dropped because its queue was full",
  },
  "subject-revoked": {
    severity: "notice",
    summary:
      "a subject lost connections, and with its last certificate its sessions; `state` says what it is now",
  },
  "feed-refused": {
    severity: "alert",
    summary: "the broker refused a feed message; the last good state stays",
  },
  "feed-stale": {
    severity: "alert",
    summary:
      "nothing was heard from control for half of `feed.maximumAgeSeconds`, or for all of it: then nobody new is let in",
  },
  "feed-lost": { severity: "warning", summary: "control is away; the broker serves on" },
  "store-opened": {
    severity: "info",
    summary: "the broker has taken up the sessions and messages it had stored",
  },
  "store-beyond-limit": {
    severity: "warning",
    summary:
      "a start found more in the store than a limit of today allows; it is kept all the same",
  },
  "store-failing": {
    severity: "alert",
    summary: "the store refuses to keep; nothing is acknowledged that would be stored",
  },
  "store-recovered": { severity: "notice", summary: "the store keeps again" },
  "store-damaged": {
    severity: "alert",
    summary: "a part of the store cannot be used; what is whole is served",
  },
  "store-rolled-back": {
    severity: "alert",
    summary: "the store is an older copy of itself: what came after it is missing",
  },
  "control-rolled-back": {
    severity: "alert",
    summary:
      "control's state is an older copy of what it has told a broker: revocations and records made after it are missing",
  },
  "anchor-lost": {
    severity: "warning",
    summary:
      "the anchor outside of the deployment's folder is missing, damaged, of another deployment or can not be written: until it is there, an older copy of the folder is not noticed",
  },
  "certificate-changed": { severity: "info", summary: "the server certificate was replaced" },
  "internal-error": {
    severity: "alert",
    summary: "the broker made a mistake; the peer was disconnected",
  },
  "policy-changed": { severity: "notice", summary: "control read a new policy" },
  "policy-refused": {
    severity: "alert",
    summary: "a policy file has errors; the last good policy stays",
  },
  "policy-trial-started": {
    severity: "notice",
    summary: "a policy is decided beside the one in force, without effect, until a time",
  },
  "policy-trial-ended": { severity: "notice", summary: "a policy is on trial no longer" },
  "settings-changed": { severity: "notice", summary: "control read new settings" },
  "settings-refused": {
    severity: "alert",
    summary: "wardmq.yaml has errors; the last good settings stay",
  },
  "token-renewed": { severity: "info", summary: "a client followed its token with a newer one" },
  "token-renewal-refused": {
    severity: "warning",
    summary: "a token that was to follow another was refused; the former one counts to its end",
  },
  "tokens-banned": {
    severity: "alert",
    summary:
      "so many tokens of one address or certificate were refused that no more are judged for a time",
  },
  "issuer-keys-changed": { severity: "notice", summary: "control fetched new keys of an issuer" },
  "issuer-unavailable": {
    severity: "warning",
    summary: "an issuer's keys could not be fetched; the former ones count until they are too old",
  },
  "ban-lifted": {
    severity: "notice",
    summary: "an operator had tokens of a banned address or certificate judged again",
  },
  "break-glass-taken": {
    severity: "alert",
    summary: "a person took a role for an emergency; somebody else has to review it",
  },
  "break-glass-ended": {
    severity: "notice",
    summary: "a role that was taken for an emergency ended, at its time or before",
  },
  "break-glass-reviewed": {
    severity: "notice",
    summary: "a second person reviewed what was taken for an emergency",
  },
  "logged-out": {
    severity: "notice",
    summary: "an issuer said that a person logged out; the sessions of that login ended",
  },
  "tokens-revoked": {
    severity: "notice",
    summary: "tokens were revoked before their end, by an operator or by their issuer",
  },
  "subject-added": { severity: "notice", summary: "a device or service was registered" },
  "subject-changed": {
    severity: "notice",
    summary: "what the registry says of a subject, or its state, was changed by an operator",
  },
  "subject-revoked-by": { severity: "notice", summary: "an operator revoked a subject" },
  "rotation-step": {
    severity: "notice",
    summary: "an operator took a step of a rotation, or took one back",
  },
  "fleet-rotation": {
    severity: "alert",
    summary: "an operator moves every device to a new issuing CA",
  },
  "root-crl-signed": {
    severity: "notice",
    summary: "an operator had the root CA sign its CRL, of issuing CAs that were revoked",
  },
  "root-key-moved": {
    severity: "alert",
    summary: "the key of the root CA was taken out of the deployment or brought back",
  },
  "certificate-refused": {
    severity: "warning",
    summary: "a certificate request was refused; `check` names the rule it failed",
  },
  "state-key-destroyed": {
    severity: "notice",
    summary:
      "a key that had sealed a store was destroyed, after everything was sealed under another one",
  },
  "keys-changed": {
    severity: "notice",
    summary:
      "an operator had another provider protect all keys; `details` name it and the former one",
  },
  "backup-made": {
    severity: "notice",
    summary: "an operator wrote a sealed backup of the deployment; `details` say which",
  },
  "request-refused": {
    severity: "warning",
    summary: "a request over HTTPS was refused; `check` names the rule it failed",
  },
  "api-call": {
    severity: "notice",
    summary: "an operator gave a command over HTTPS; `details` say who, which, and what came of it",
  },
  "approval-requested": {
    severity: "notice",
    summary: "a command waits for the approval of a second person",
  },
  "approval-decided": {
    severity: "notice",
    summary: "a second person approved or refused a command that waited",
  },
  "operator-changed": {
    severity: "notice",
    summary: "an operator was added or revoked, or got a certificate",
  },
  "enrolment-code-made": {
    severity: "notice",
    summary: "an operator made a one-time code with which a device can enrol",
  },
  "enrolment-refused": {
    severity: "warning",
    summary: "a device was not enrolled; `check` names the step it failed",
  },
  "manufacturer-changed": {
    severity: "notice",
    summary: "a maker's CA was added, or is not trusted for enrolment any more",
  },
  "foreign-ca-changed": {
    severity: "notice",
    summary: "a foreign CA was added, or is not trusted any more",
  },
  "crl-read": {
    severity: "info",
    summary: "control read a newer CRL of a foreign CA or a maker",
  },
  "crl-refused": {
    severity: "warning",
    summary:
      "the CRL of a foreign CA or a maker could not be read or taken; the former one counts until its nextUpdate",
  },
  "crl-stale": {
    severity: "alert",
    summary:
      "the CRL of a foreign CA or a maker has half of its life behind it, or all: then nobody of it gets in; `check` says which",
  },
  "certificate-adopted": {
    severity: "notice",
    summary: "a certificate of a foreign CA was bound to the record that it maps to",
  },
  "certificate-issued": { severity: "notice", summary: "control issued a certificate" },
} as const satisfies Record<string, EventDefinition>;

/** The listeners of a broker. */
export const listenerNames = ["mqtts", "wss", "tokenMqtts", "tokenWss"] as const;
export type ListenerName = (typeof listenerNames)[number];

/** The listeners of control. */
export const controlListenerNames = ["est", "api"] as const;
export type ControlListenerName = (typeof controlListenerNames)[number];

export type EventType = keyof typeof eventTypes;

/**
 * One event. Names and values are safe to print: untrusted text passes `printable` when the event is made.
 * No field ever holds a payload, a key, a token or anything about a patient.
 */
export interface SecurityEvent {
  readonly type: EventType;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** How often this happened since the last event alike was sent; absent means once. */
  readonly count?: number;
  readonly subject?: string;
  readonly clientId?: string;
  readonly address?: string;
  readonly listener?: ListenerName | ControlListenerName;
  /** Which rule of the door, of MQTT or of the policy decided. */
  readonly check?: string;
  /** One sentence: what was wrong and what would change it. */
  readonly why?: string;
  readonly topic?: string;
  readonly ruleId?: string;
  readonly reasonCode?: number;
  readonly limit?: string;
  readonly certificate?: {
    readonly subject: string;
    readonly issuer: string;
    readonly serialNumber: string;
    readonly fingerprint: string;
  };
  readonly sni?: string;
  readonly details?: Readonly<Record<string, string | number | boolean>>;
}
