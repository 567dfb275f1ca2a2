import { importanceOf } from "../session/importance.ts";
import type { Route } from "./route.ts";

/** A Topic Name that somebody publishes to, with what was worked out for it once. */
export class Topic {
  readonly name: string;
  /** The name as it stands on the wire: two length bytes and its UTF-8. */
  readonly encoded: Buffer;
  /** Who receives it; valid while `routeGeneration` is the router's. */
  route: Route | undefined;
  routeGeneration = 0;
  /** False once the router has forgotten this object: whoever holds it looks the name up again. */
  isLive = true;
  #importance: number | undefined;

  /** The class of its messages where a queue is full, worked out when one is first queued. */
  get importance(): number {
    this.#importance ??= importanceOf(this.name);
    return this.#importance;
  }

  constructor(name: string) {
    this.name = name;
    const length = Buffer.byteLength(name);
    this.encoded = Buffer.allocUnsafeSlow(2 + length);
    this.encoded.writeUInt16BE(length, 0);
    this.encoded.write(name, 2, "utf8");
  }
}
