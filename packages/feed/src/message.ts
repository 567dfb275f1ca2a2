import type { Introspected } from "@wardmq/tokens";
import type { ShadowCounts } from "./policy-use.ts";
import type { SubjectRecord, World, WorldChange } from "./world.ts";

/** Where a message stands: `lineage` is random and new whenever control's state does not continue the former one. */
interface Position {
  readonly lineage: string;
  /** Grows by one with every change; a broker that finds a gap asks for a snapshot. */
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly issuedAt: number;
  /** Where control's state stands. Opaque to a broker, which gives the last one it has heard back when it comes again. */
  readonly state?: string;
}

/** One message of the feed, before signing. */
export type FeedBody = Message<SubjectRecord>;

export type Message<Subject> = Position &
  /**
   * Subjects that have no room in one line go ahead of their snapshot or change, in parts numbered from 0. Only with
   * the message that says how many `parts` there were do they count.
   */
  (
    | { readonly type: "subjects"; readonly part: number; readonly subjects: readonly Subject[] }
    | {
        readonly type: "snapshot";
        readonly parts: number;
        readonly world: Omit<World, "subjects">;
        readonly subjects: readonly Subject[];
      }
    | {
        readonly type: "change";
        readonly parts: number;
        readonly change: Omit<WorldChange, "subjects">;
        readonly subjects: readonly Subject[];
      }
    /** Nothing new, and control is alive: keeps the broker's revocation data fresh. */
    | { readonly type: "alive" }
    /** What the issuer said of the opaque token the broker asked about; absent where it gave no answer that counts. */
    | { readonly type: "introspected"; readonly id: number; readonly introspected?: Introspected }
    /**
     * Tokens of this address or certificate are judged again; where the lifting is told late, unless the ban began after
     * `at` (token-clock milliseconds).
     */
    | { readonly type: "lift-ban"; readonly of: string; readonly at?: number }
    /** What has the broker banned? */
    | { readonly type: "bans" }
    /** The broker is to seal all it keeps under a new key, and to destroy the former ones. */
    | { readonly type: "rekey" }
    /** The broker is to make a new key for its server certificate now, and to ask for the certificate. */
    | { readonly type: "renew-server-certificate" }
    /** The answer to its request: PEM, the certificate, then its path. It counts for the key that waits for it alone. */
    | { readonly type: "server-certificate"; readonly certificate: string }
    | { readonly type: "server-certificate-refused"; readonly why: string }
  );

/** What control says to a broker that changes nothing of the world. */
export type FeedAside = Extract<FeedBody, { type: "introspected" | "lift-ban" | "bans" }>;

/** What a broker applies, whole or not at all. */
export type FeedNews = Extract<FeedBody, { type: "snapshot" | "change" }>;

/** What a snapshot or a change ended in a broker. */
export interface Ended {
  /** Live connections ended. */
  readonly connectionsClosed: number;
  /** Sessions ended, with a connection or without, and the messages in them that nobody gets any more. */
  readonly sessionsEnded: number;
  readonly messagesWithheld: number;
}

/** What a broker did about one version. */
export interface Applied extends Ended {
  readonly version: number;
  /** From receipt until all of it was done. */
  readonly milliseconds: number;
}

/** How far a store is: an older copy of it has a lower number, or is of another incarnation. */
export interface StorePosition {
  /** 32 hexadecimal digits, new whenever the store begins anew. */
  readonly incarnation: string;
  readonly number: number;
}

/** What became of the keys of a store. */
export interface Rekeyed {
  /** The id of the key that seals now. */
  readonly current: string;
  /** The ids of the keys that were destroyed. */
  readonly destroyed: readonly string[];
}

/** An address or certificate whose tokens are not judged for a time. */
export interface BanSummary {
  /** `address 192.0.2.7` or `certificate <fingerprint>`. */
  readonly of: string;
  readonly failures: number;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/** A certificate that a broker shows to who connects. */
export interface ServerCertificate {
  /** As OpenSSL prints it. */
  readonly serialNumber: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Whether control has signed it; else it is the operator's own. */
  readonly isOurs: boolean;
}

/** From broker to control on the same connection, one JSON object a line. */
export type BrokerMessage =
  | {
      readonly type: "hello";
      /** Where the broker stands; absent before its first snapshot. */
      readonly lineage?: string;
      readonly version?: number;
      /** The last one that control has said, to this process or a former one. */
      readonly state?: string;
    }
  /** Where the broker's store stands; after the first hello of a process, where it stood when it was opened. */
  | ({ readonly type: "stored" } & StorePosition)
  | ({ readonly type: "applied" } & Applied)
  | { readonly type: "refused"; readonly version: number; readonly why: string }
  /** A token names a key that the issuer of this name may have begun to use. */
  | { readonly type: "key-missing"; readonly issuer: string }
  /** The changes since the last snapshot have become more than it: the world anew is to take their place. */
  | { readonly type: "snapshot-wanted" }
  /** What does the issuer say of this opaque token? `id` comes back with the answer. */
  | { readonly type: "introspect"; readonly id: number; readonly token: string }
  /** What it has banned now, as control has asked. */
  | { readonly type: "bans"; readonly bans: readonly BanSummary[] }
  | ({ readonly type: "rekeyed" } & Rekeyed)
  | { readonly type: "not-rekeyed"; readonly why: string }
  /** A PKCS#10 request for a server certificate, DER in base64, with a key that the broker has just made. */
  | { readonly type: "certificate-request"; readonly request: string }
  /** What the broker shows now. */
  | ({ readonly type: "server-certificate" } & ServerCertificate)
  | { readonly type: "not-renewed"; readonly why: string }
  | { readonly type: "ready"; readonly mqtts: string; readonly wss: string }
  /** Certificates somebody has connected with whose device had an older one beside it. */
  | { readonly type: "used"; readonly fingerprint: string }
  /** A device came with a certificate of a foreign CA, DER in base64, that is not bound to its record yet. */
  | { readonly type: "foreign"; readonly certificate: string }
  /** Ids of rules of the policy in force that have decided something; each at least once a day. */
  | { readonly type: "rules-used"; readonly rules: readonly string[] }
  | ({ readonly type: "shadow-counts" } & ShadowCounts)
  | { readonly type: "events"; readonly events: readonly unknown[] };
