import type { ProtocolVersion } from "@wardmq/mqtt";
import {
  type ApplicationMessage,
  packetIdOffset,
  publishLength,
  writePublish,
} from "./application-message.ts";

/** One encoded PUBLISH that many connections copy; its Packet Identifier, if it has one, is filled in by each. */
export class Frame {
  bytes = Buffer.allocUnsafeSlow(4096);
  length = 0;
  packetIdOffset = 0;
}

const keptBytes = 65_536;

/**
 * Hot path. The encodings of the message being routed, one for each way it differs on the wire: version, with or
 * without Packet Identifier, RETAIN. Made when first asked for; the buffers are used again for the next message.
 */
export class FrameCache {
  readonly #frames = Array.from({ length: 8 }, () => new Frame());
  #message: ApplicationMessage | undefined;
  #made = 0;

  begin(message: ApplicationMessage): void {
    this.#message = message;
    this.#made = 0;
  }

  get(version: ProtocolVersion, hasPacketId: boolean, retain: boolean): Frame {
    const variant = (version === 5 ? 1 : 0) | (hasPacketId ? 2 : 0) | (retain ? 4 : 0);
    const frame = this.#frames[variant] as Frame;
    if ((this.#made & (1 << variant)) === 0) {
      this.#made |= 1 << variant;
      this.#encode(frame, version, hasPacketId, retain);
    }
    return frame;
  }

  #encode(frame: Frame, version: ProtocolVersion, hasPacketId: boolean, retain: boolean): void {
    const message = this.#message as ApplicationMessage;
    const qos = hasPacketId ? 1 : 0;
    const topic = message.topic.encoded;
    const length = publishLength(message, version, qos, undefined, topic.length, 0);
    if (length > frame.bytes.length || (frame.bytes.length > keptBytes && length <= keptBytes)) {
      frame.bytes = Buffer.allocUnsafeSlow(Math.max(length, keptBytes));
    }
    writePublish(frame.bytes, 0, message, version, qos, retain, false, 0, undefined, topic, 0, 0);
    frame.length = length;
    frame.packetIdOffset = packetIdOffset;
  }
}
