import type { Commands } from "@wardmq/commands";
import { count } from "../command-line.ts";
import type { Operand } from "../deployment-command.ts";
import { Failure } from "../failure.ts";

export const subjectOperand: Operand = ["SUBJECT", "device:UUID or service:NAME"];

export type Effect = Commands["quarantine"]["result"];

/** What each broker ended, and how long after the command. */
export function brokerLines({
  brokers,
  unconfirmed = 0,
}: Pick<Effect, "brokers" | "unconfirmed">): readonly string[] {
  if (brokers.length + unconfirmed === 0) return ["no broker runs here; one that starts knows it"];
  return brokers.map(
    ({ connectionsClosed, sessionsEnded, messagesWithheld, milliseconds, confirmedMs }) =>
      `the broker closed ${count(connectionsClosed, "connection")}, ended ${count(sessionsEnded, "session")} and withheld ` +
      `${count(messagesWithheld, "message")} in ${milliseconds} ms, ${confirmedMs} ms after the command`,
  );
}

/** A broker that did not answer may still let somebody in: that is no success. */
export function refuseUnconfirmed({ unconfirmed = 0 }: Pick<Effect, "unconfirmed">): void {
  if (unconfirmed === 0) return;
  throw new Failure(
    1,
    `${count(unconfirmed, "broker")} did not confirm in time`,
    "the change stands; look at wardmq events, and end that broker if it does not follow",
  );
}
