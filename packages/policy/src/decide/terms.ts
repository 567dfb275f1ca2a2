import type { Rule } from "../language/policy.ts";
import type { Decision } from "./decision.ts";

/** What one rule wants of a message. */
export interface Terms {
  readonly ruleId: string;
  readonly qos: number;
  readonly retain: boolean;
  /** How long a retained message lives; Infinity where the rule has no limit. */
  readonly retainSeconds: number;
  /** Infinity where the rule has no limit. */
  readonly payloadBytes: number;
  readonly contentType: string | undefined;
}

/** The parts of a message that terms are about. */
export interface MessageTraits {
  readonly qos: number;
  readonly retain: boolean;
  readonly payloadLength: number;
  /** Asked for only where a rule looks at it. */
  readonly contentType: string | undefined;
}

export function termsOf(rule: Omit<Partial<Rule>, "filter">, ruleId: string): Terms {
  const { qos = 2, retain = "never", contentType } = rule;
  const { retainSeconds = unlimited, payloadBytes = unlimited } = rule;
  const isRetained = retain === "allowed";
  return Object.freeze({
    ruleId,
    qos,
    retain: isRetained,
    retainSeconds,
    payloadBytes,
    contentType,
  });
}

const unlimited = Number.POSITIVE_INFINITY;

/** The longest life, in seconds, that the terms which a retained message keeps to give it; none at all where it keeps to none. */
export function retainSecondsOf(terms: readonly Terms[], message: MessageTraits): number {
  const kept = terms.filter((one) => isWithin([one], message));
  return Math.max(0, ...kept.map(({ retainSeconds }) => retainSeconds));
}

/** Hot path. Whether the message keeps to one of the terms. */
export function isWithin(terms: readonly Terms[], message: MessageTraits): boolean {
  for (let i = 0; i < terms.length; i++) {
    const one = terms[i] as Terms;
    if (
      message.qos <= one.qos &&
      (!message.retain || one.retain) &&
      message.payloadLength <= one.payloadBytes &&
      (one.contentType === undefined || one.contentType === message.contentType)
    ) {
      return true;
    }
  }
  return false;
}

/** The Deny of a message on a topic that is allowed, with what is wrong with the message. */
export function denyByTerms(terms: readonly Terms[], message: MessageTraits): Decision {
  const [first] = terms;
  const ruleId = first?.ruleId;
  const hint = first && hintOf(first, message);
  return { effect: "Deny", because: "Deny", ruleId, hint, qos: 0, terms: [] };
}

/** Of topics whose messages are never retained, whatever a rule allows. */
export function neverRetained(terms: readonly Terms[]): readonly Terms[] {
  return terms.map((one) => ({ ...one, retain: false, retainSeconds: 0 }));
}

function hintOf(terms: Terms, { qos, retain, payloadLength }: MessageTraits): string {
  const rule = `the rule ${terms.ruleId}`;
  if (retain && terms.retainSeconds === 0)
    return "commands and answers are never retained: clear the flag";
  if (retain && !terms.retain) {
    return `${rule} allows no retained message: clear the flag, or write retain: allowed`;
  }
  if (qos > terms.qos) return `${rule} allows QoS ${terms.qos} and below, this is QoS ${qos}`;
  if (payloadLength > terms.payloadBytes) {
    return `${rule} allows ${terms.payloadBytes} bytes of payload, these are ${payloadLength}`;
  }
  return `${rule} wants the content type ${terms.contentType}`;
}
