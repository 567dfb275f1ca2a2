import type { QoS } from "@wardmq/mqtt";
import type {
  ApplicationMessage,
  SubscriptionIdentifiers,
} from "../routing/application-message.ts";
import type { FrameCache } from "../routing/frame-cache.ts";

/** What a session needs of the network connection it is bound to. */
export interface SessionConnection {
  readonly address: string;
  /** The peer does not read what it has been sent: QoS 1 and 2 messages wait in the session. */
  readonly isCongested: boolean;
  /** Whether the PUBLISH would be larger than the client's Maximum Packet Size, 5.0 [MQTT-3.1.2-24]. */
  isTooLarge(message: ApplicationMessage, qos: QoS, identifiers: SubscriptionIdentifiers): boolean;
  /**
   * Sends one PUBLISH. `frames` holds its shared encodings while it is being routed; `now` is 0 for a message that
   * has not waited. False: dropped (QoS 0 only) because too much output waits.
   */
  sendPublish(
    message: ApplicationMessage,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: SubscriptionIdentifiers,
    frames: FrameCache | undefined,
    now: number,
  ): boolean;
  /**
   * What is sent from here on leaves only when the journal has committed all that was said. False: the store refuses,
   * and the connection has ended.
   */
  hold(): boolean;
  sendPubrel(packetId: number): void;
  /** Ends the connection: DISCONNECT with the Reason Code on 5.0, then close. */
  disconnect(reasonCode: number, why: string): void;
}
