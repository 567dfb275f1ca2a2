/**
 * What an operator's tool and control say to each other: over the Unix socket `run/control.sock` of a deployment, or
 * over standard input and output of a one-shot control when none runs. One JSON object a line in both directions.
 */

export interface CertificateSummary {
  readonly fingerprint: string;
  readonly serialNumber: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
  readonly state: "active" | "revoked";
}

export interface SubjectSummary {
  /** `device:<uuid>` or `service:<name>`. */
  readonly id: string;
  readonly kind: "device" | "service" | "person";
  readonly state: "active" | "revoked";
  readonly attributes: Readonly<Record<string, string>>;
  readonly certificates: readonly CertificateSummary[];
}

/** Every command: its arguments and its result. */
export interface Commands {
  init: {
    arguments: { org: string; environment: string; hosts: readonly string[] };
    result: { trustDomain: string; hosts: readonly string[]; rootFingerprint: string };
  };
  "device.add": {
    arguments: { site: string; ward: string; model?: string; id?: string };
    result: SubjectSummary;
  };
  "service.add": { arguments: { name: string }; result: SubjectSummary };
  list: { arguments: Record<never, never>; result: { subjects: readonly SubjectSummary[] } };
  revoke: {
    arguments: { subject: string };
    result: {
      subject: string;
      certificatesRevoked: number;
      /** One entry for each broker that was connected; empty when none runs. */
      brokers: readonly { connectionsClosed: number; milliseconds: number }[];
      /** Brokers that were connected but did not confirm within a second; absent when all did. */
      unconfirmed?: number;
    };
  };
  credential: {
    /** A PKCS#10 request in PEM; only its public key and proof of possession are used. */
    arguments: { subject: string; certificateRequest: string };
    result: { certificateChain: string; trustAnchors: string; certificate: CertificateSummary };
  };
  reload: { arguments: Record<never, never>; result: { changed: readonly string[] } };
  events: {
    arguments: { last: number };
    /** Events as packages/events has them, oldest first. */
    result: { events: readonly unknown[] };
  };
}

export type CommandName = keyof Commands;

export type CommandRequest = {
  [Name in CommandName]: {
    readonly command: Name;
    readonly arguments: Commands[Name]["arguments"];
  };
}[CommandName];

export type CommandResponse =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false;
      readonly error: {
        /** Stable, `ERR_...`. */
        readonly code: string;
        /** One line: what was wrong and where. */
        readonly message: string;
        /** What to do instead. */
        readonly hint?: string;
        /** 1: refused or failed; 2: wrong input or configuration. */
        readonly exitCode: 1 | 2;
      };
    };
