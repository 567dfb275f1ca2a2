import type { SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, Limits } from "@wardmq/feed";
import type { Enforcement } from "../enforcement/enforcement.ts";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { Router } from "../routing/router.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Connections } from "./connections.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { Flusher } from "./output.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/** Who is at the other end, as the door has found out. */
export interface Peer {
  readonly subject: SubjectState;
  /** Of the certificate presented. */
  readonly fingerprint: string;
  /** Milliseconds since 1970: the connection ends with its certificate. */
  readonly notAfter: number;
  readonly address: string;
  readonly listener: "mqtts" | "wss";
  /** Milliseconds from accept to here, which the time for a CONNECT has already lost. */
  readonly waitedMs?: number;
}

/** What every connection shares; `main.ts` makes it. */
export interface ConnectionContext {
  readonly settings: () => BrokerSettings;
  readonly limits: () => Limits;
  readonly wheel: TimingWheel;
  readonly budget: MemoryBudget;
  readonly flusher: Flusher;
  readonly enforcement: Enforcement;
  readonly router: Router;
  readonly sessions: Sessions;
  readonly connections: Connections;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomId: () => string;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** A mistake of ours: recorded with its cause, the peer sees a generic code. */
  readonly failed: (error: unknown) => void;
  /** Bytes kept for peers whose CONNECT has not arrived whole. */
  preAuthBytes: number;
}
