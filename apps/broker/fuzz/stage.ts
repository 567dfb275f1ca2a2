/** What carries bytes between a client of the fuzz and a broker. */
export interface Wire {
  /** Sends bytes; whatever they do to the broker may happen later. */
  send(bytes: Buffer): void;
  /** The network fails: nothing is said to the broker. */
  drop(): void;
  /** Reads nothing of what the broker sends, or reads on, where the stage can do that. */
  setReading?(reads: boolean): void;
  onBytes: (bytes: Buffer) => void;
  onEnd: () => void;
}

export type Listener = "mqtts" | "wss";

/** A broker that runs somewhere, and ways to it. */
export interface Stage {
  /** What the subjects of the fuzz are called here: the uuid of each device, the name of each service. */
  readonly devices: readonly string[];
  readonly services: readonly string[];
  open(subject: string, listener: Listener): Promise<Wire>;
  /** Puts another policy of `policyTexts` in force, where the stage can say when it is. */
  usePolicy?(which: number): Promise<void>;
  /** Resolves once `isDone`, after something has come; rejects when it does not in time. */
  until(isDone: () => boolean, what: () => string): Promise<void>;
  /** What is wrong with the broker itself, after every client has left; undefined when nothing is. */
  complaint(): Promise<string | undefined>;
}
