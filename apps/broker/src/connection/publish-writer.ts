import type { ProtocolVersion, QoS } from "@wardmq/mqtt";
import {
  type ApplicationMessage,
  publishLength,
  type SubscriptionIdentifiers,
  writePublish,
} from "../routing/application-message.ts";
import type { FrameCache } from "../routing/frame-cache.ts";
import type { Topic } from "../routing/topic.ts";
import type { Output } from "./output.ts";

const noAlias = 0;
const noTopic = Buffer.alloc(2);

/** What the CONNECT has settled about the packets we send. */
export interface Wire {
  readonly version: ProtocolVersion;
  /** The client's Maximum Packet Size in bytes; Infinity when it named none. */
  readonly maximumPacketBytes: number;
  /** How many topic aliases we may set, 0 for none. */
  readonly topicAliasMaximum: number;
}

/** Writes the PUBLISH packets of one connection to its output. */
export class PublishWriter {
  readonly #output: Output;
  readonly #wire: Wire;
  #aliases: Map<Topic, number> | undefined;

  constructor(output: Output, wire: Wire) {
    this.#output = output;
    this.#wire = wire;
  }

  isTooLarge(message: ApplicationMessage, qos: QoS, identifiers: SubscriptionIdentifiers): boolean {
    const { version, maximumPacketBytes } = this.#wire;
    if (maximumPacketBytes === Number.POSITIVE_INFINITY) return false;
    const topicLength = message.topic.encoded.length;
    return (
      publishLength(message, version, qos, identifiers, topicLength, noAlias) > maximumPacketBytes
    );
  }

  /** Hot path. Copies the shared encoding where there is one for this client; parameters as of `SessionConnection`. */
  write(
    message: ApplicationMessage,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: SubscriptionIdentifiers,
    frames: FrameCache | undefined,
    now: number,
  ): void {
    const { version, topicAliasMaximum } = this.#wire;
    const output = this.#output;
    if (frames !== undefined && identifiers === undefined && topicAliasMaximum === 0) {
      const frame = frames.get(version, qos > 0, retain);
      const out = output.room(frame.length);
      const at = output.end;
      frame.bytes.copy(out, at, 0, frame.length);
      if (qos > 0) {
        if (qos === 2) out[at] = (out[at] as number) + 2;
        out[at + frame.packetIdOffset] = packetId >> 8;
        out[at + frame.packetIdOffset + 1] = packetId & 0xff;
      }
      output.end = at + frame.length;
      return;
    }
    let alias = noAlias;
    let topic = message.topic.encoded;
    let isNewAlias = false;
    if (topicAliasMaximum > 0) {
      const known = this.#aliases?.get(message.topic);
      isNewAlias = known === undefined;
      alias = known ?? this.#newAlias(message.topic);
      if (known !== undefined) topic = noTopic;
    }
    let length = publishLength(message, version, qos, identifiers, topic.length, alias);
    if (length > this.#wire.maximumPacketBytes) {
      // The name fits and an alias does not, beside it or, longer than a name of one letter, instead of it.
      if (isNewAlias) this.#aliases?.delete(message.topic); // the last one: no number is given twice
      alias = noAlias;
      topic = message.topic.encoded;
      length = publishLength(message, version, qos, identifiers, topic.length, alias);
    }
    const out = output.room(length);
    const at = output.end;
    output.end = writePublish(
      out,
      at,
      message,
      version,
      qos,
      retain,
      dup,
      packetId,
      identifiers,
      topic,
      alias,
      now,
    );
  }

  /** The next free alias for the topic; none when all are taken: the first topics keep theirs. */
  #newAlias(topic: Topic): number {
    this.#aliases ??= new Map();
    if (this.#aliases.size >= this.#wire.topicAliasMaximum) return noAlias;
    const alias = this.#aliases.size + 1;
    this.#aliases.set(topic, alias);
    return alias;
  }
}
