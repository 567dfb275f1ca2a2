import type { ListenerName, SecurityEvent } from "@wardmq/events";
import type { BrokerSettings, Limits, Proof } from "@wardmq/feed";
import type { Refusal } from "@wardmq/tls";
import type { AttemptCounter, Grant } from "@wardmq/tokens/verify";
import type { Enforcement } from "../enforcement/enforcement.ts";
import type { SubjectState } from "../enforcement/subjects.ts";
import type { Router } from "../routing/router.ts";
import type { Sessions } from "../session/sessions.ts";
import type { Journal } from "../store/journal.ts";
import type { Refused, TokenQuestion } from "../tokens/token-judge.ts";
import type { TokenSubjects } from "../tokens/token-subjects.ts";
import type { Connections } from "./connections.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import type { Flusher } from "./output.ts";
import type { Rounds } from "./rounds.ts";
import type { TimingWheel } from "./timing-wheel.ts";

/** Who is at the other end, as the door has found out. */
export interface Peer {
  /** Nobody before a token has said who it is, where there is no certificate. */
  subject: SubjectState;
  /** Whose certificate was presented: the subject, until a token says that it is another; undefined without one. */
  readonly holder: SubjectState | undefined;
  /** Of the certificate presented; undefined without one. */
  readonly fingerprint: string | undefined;
  /** Milliseconds since 1970: the connection ends with its certificate. */
  readonly notAfter: number;
  /** Of a certificate of a foreign CA: why it counts no more, looked at anew; undefined while it does. */
  readonly foreign?: (() => Refusal | undefined) | undefined;
  readonly address: string;
  readonly listener: ListenerName;
  /** By what the listener takes a client. */
  readonly proof: Proof;
  /** Milliseconds from accept to here, which the time for a CONNECT has already lost. */
  readonly waitedMs?: number;
}

/** Why the certificate of a peer does not count any more; undefined while it does, or where a token needs none. */
export function refuseCertificate({
  subject,
  holder,
  fingerprint,
  foreign,
}: Peer): Refusal | undefined {
  if (foreign !== undefined) return foreign();
  if (fingerprint === undefined && subject.grant !== undefined) return undefined;
  if (fingerprint !== undefined && holder?.isProvenBy(fingerprint)) return undefined;
  return {
    check: "certificate-active",
    why: "the certificate is no longer bound to an active subject",
  };
}

/** How tokens are judged, and what is counted by whom. */
export interface Tokens {
  /** Gives what the token grants, or why it is refused; never rejects. */
  judge(question: TokenQuestion): Promise<Grant | Refused>;
  readonly attempts: AttemptCounter;
  /** A timer for each: the wheel would have all of a tick refused, and then read again, at once. */
  later(tell: () => void, delayMs: number): void;
  readonly subjects: TokenSubjects;
  /** The time tokens are measured by. */
  readonly now: () => number;
}

/** What every connection shares; `main.ts` makes it. */
export interface ConnectionContext {
  readonly settings: () => BrokerSettings;
  readonly limits: () => Limits;
  readonly wheel: TimingWheel;
  readonly budget: MemoryBudget;
  readonly flusher: Flusher;
  readonly rounds: Rounds;
  readonly enforcement: Enforcement;
  readonly router: Router;
  readonly sessions: Sessions;
  readonly tokens: Tokens;
  readonly journal: Journal;
  readonly connections: Connections;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly randomId: () => string;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** A device came with the newer of two certificates: control ends the older one. */
  readonly certificateUsed: (fingerprint: string) => void;
  /** A mistake of ours: recorded with its cause, the peer sees a generic code. */
  readonly failed: (error: unknown) => void;
  /** Bytes kept for peers whose CONNECT has not arrived whole. */
  preAuthBytes: number;
}
