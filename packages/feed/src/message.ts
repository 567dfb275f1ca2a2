import type { World, WorldChange } from "./world.ts";

/**
 * One message of the feed, before signing. `version` grows by one with every change; a broker that finds a gap asks
 * for a snapshot. `lineage` is random and new whenever control's state does not continue the former one.
 */
export type FeedBody =
  | {
      readonly type: "snapshot";
      readonly lineage: string;
      readonly version: number;
      readonly issuedAt: number;
      readonly world: World;
    }
  | {
      readonly type: "change";
      readonly lineage: string;
      readonly version: number;
      readonly issuedAt: number;
      readonly change: WorldChange;
    }
  /** Nothing new, and control is alive: keeps the broker's revocation data fresh. */
  | {
      readonly type: "alive";
      readonly lineage: string;
      readonly version: number;
      readonly issuedAt: number;
    };

/** On the wire, one JSON object a line. `body` is the JSON text of a FeedBody, exactly as signed. */
export interface SignedFeedMessage {
  readonly body: string;
  /** Ed25519 over `wardmq-feed\0` and the UTF-8 of `body`, base64. */
  readonly signature: string;
}

/** From broker to control on the same connection, one JSON object a line. */
export type BrokerMessage =
  | {
      readonly type: "hello";
      /** Where the broker stands; absent before its first snapshot. */
      readonly lineage?: string;
      readonly version?: number;
    }
  | {
      readonly type: "applied";
      readonly version: number;
      /** Live connections ended by this change, and the milliseconds from receipt to the last one's end. */
      readonly connectionsClosed: number;
      readonly milliseconds: number;
    }
  | { readonly type: "refused"; readonly version: number; readonly why: string }
  /** A token names a key that the issuer of this name may have begun to use. */
  | { readonly type: "key-missing"; readonly issuer: string }
  | { readonly type: "ready"; readonly mqtts: string; readonly wss: string }
  | { readonly type: "events"; readonly events: readonly unknown[] };
