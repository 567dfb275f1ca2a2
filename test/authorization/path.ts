import type { EventType } from "@wardmq/events";
import type { Scene } from "./scene.ts";

/** What the client and the log see of a Deny: the answer of each edition, and one event for each denial. */
export interface Refusal {
  readonly v5: string;
  readonly v3: string;
  readonly events: readonly EventType[];
}

/** One row of the matrix: a way on which a message can come from a subject, or to one. */
export interface Path {
  readonly name: string;
  /** Both editions where nothing is said. */
  readonly versions?: readonly [5];
  /** The answer where it is permitted. */
  readonly permitted: string;
  /** Where the topic is not granted. */
  readonly denied: Refusal;
  /** Where it was granted and the right is gone in the moment between: by a new policy, or by revocation. */
  readonly lost: Readonly<Record<"policy" | "revocation", Refusal>>;
  /** Plays it; `isDelivered` is left out where the watcher that sees every topic answers that. */
  readonly play: (
    scene: Scene,
  ) => Promise<{ readonly answer: string; readonly isDelivered?: boolean }>;
}
