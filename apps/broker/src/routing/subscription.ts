import type { QoS } from "@wardmq/mqtt";

/** One subscription of one session, 5.0 section 3.8.3.1. */
export interface Subscription {
  /** As the client wrote it, with `$share/group/`. */
  readonly filter: string;
  /** Without `$share/group/`: what is matched and authorized. */
  readonly topicFilter: string;
  /** The group of a Shared Subscription. */
  readonly group: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0 when the SUBSCRIBE carried none. */
  readonly identifier: number;
}
