import type { QoS } from "@wardmq/mqtt";
import type { Session } from "../session/session.ts";
import type { SubscriptionIdentifiers } from "./application-message.ts";
import type { SharedGroup } from "./shared-group.ts";

/** One session that receives a topic: overlapping subscriptions folded into one delivery. */
export interface Target {
  readonly session: Session;
  readonly qos: QoS;
  readonly retainAsPublished: boolean;
  readonly identifiers: SubscriptionIdentifiers;
  /** What the session gets of its own messages: No Local subscriptions do not count. Undefined: nothing. */
  readonly own: Omit<Target, "own"> | undefined;
}

/** Who receives a topic, at which QoS, already authorized; made once and used for every PUBLISH until it changes. */
export interface Route {
  readonly targets: readonly Target[];
  readonly shared: readonly SharedGroup[];
}
