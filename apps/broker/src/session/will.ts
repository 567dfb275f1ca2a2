import { Timed } from "../connection/timing-wheel.ts";
import type { ApplicationMessage } from "../routing/application-message.ts";

/** A will as its CONNECT set it. */
export interface Will {
  readonly message: ApplicationMessage;
  readonly delaySeconds: number;
  /** From the Will Properties: seconds the message lives from the moment it is sent, or -1. */
  readonly expiryInterval: number;
}

/** A will whose connection is gone and whose delay runs, 5.0 section 3.1.3.2.2; due when it is to be sent. */
export class PendingWill extends Timed {
  readonly will: Will;
  readonly #send: (will: Will) => void;

  constructor(will: Will, send: (will: Will) => void) {
    super();
    this.will = will;
    this.#send = send;
  }

  override due(): void {
    this.#send(this.will);
  }
}
