import { FeedError } from "./feed-error.ts";
import type { BrokerMessage } from "./message.ts";
import { parseObject } from "./signed.ts";

/** One message to control as a line. */
export function encodeBrokerMessage(message: BrokerMessage): string {
  return `${JSON.stringify(message)}\n`;
}

const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;
const isDuration = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && value >= 0;
const isText = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 4096;

const lineageForm = /^[0-9a-f]{1,64}$/;

/**
 * What a broker said, made anew from the parts we know. The broker reads bytes from every device, so control takes
 * nothing from it unseen; each of `events` is for the receiver to check.
 */
export function decodeBrokerMessage(line: string): BrokerMessage {
  const said = parseObject(line);
  const { issuer } = said;
  const { type, version, lineage, connectionsClosed, milliseconds, why, mqtts, wss, events } = said;
  switch (type) {
    case "hello":
      if (lineage === undefined && version === undefined) return { type };
      if (isText(lineage) && lineageForm.test(lineage) && isCount(version))
        return { type, lineage, version };
      break;
    case "applied":
      if (isCount(version) && isCount(connectionsClosed) && isDuration(milliseconds)) {
        return { type, version, connectionsClosed, milliseconds };
      }
      break;
    case "refused":
      if (isCount(version) && isText(why)) return { type, version, why };
      break;
    case "ready":
      if (isText(mqtts) && isText(wss)) return { type, mqtts, wss };
      break;
    case "key-missing":
      if (isText(issuer)) return { type, issuer };
      break;
    case "events":
      if (Array.isArray(events)) return { type, events };
      break;
  }
  throw new FeedError("ERR_FEED_LINE");
}
