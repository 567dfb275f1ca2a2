import type { ApplicationMessage } from "./application-message.ts";

/** Where retained messages live: one for each Topic Name. */
export interface RetainedStore {
  readonly messages: number;
  readonly bytes: number;
  /** What the levels of their topics hold beside that. */
  readonly treeBytes: number;
  get(topicName: string): ApplicationMessage | undefined;
  /** Puts the message in the place of the topic's former one. */
  put(message: ApplicationMessage): void;
  remove(topicName: string): void;
  /** Every retained message whose topic the filter matches, in no promised order. */
  matching(topicFilter: string): ApplicationMessage[];
}
