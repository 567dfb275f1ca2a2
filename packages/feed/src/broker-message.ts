import { FeedError } from "./feed-error.ts";
import type { BanSummary, BrokerMessage } from "./message.ts";
import { decodeRules, decodeShadowCounts } from "./policy-use.ts";
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

/** A certificate of a client: one in a handshake has less than `limits.preAuthBytes`. */
const isBase64 = (value: unknown): value is string =>
  typeof value === "string" && value.length <= 65_536 && /^[A-Za-z0-9+/]+={0,2}$/.test(value);
/** As `maximumTokenBytes` of packages/tokens, which is in bytes of Latin-1. */
const longestToken = 8_192;
const fingerprintForm = /^[0-9a-f]{64}$/;
const isKeyId = (value: unknown): value is string =>
  typeof value === "string" && /^[0-9a-f]{8}$/.test(value);
const lineageForm = /^[0-9a-f]{1,64}$/;
const banForm = /^(address|certificate) [!-~]{1,128}$/;
const incarnationForm = /^[0-9a-f]{32}$/;

/**
 * What a broker said, made anew from the parts we know. The broker reads bytes from every device, so control takes
 * nothing from it unseen; each of `events` is for the receiver to check.
 */
export function decodeBrokerMessage(line: string): BrokerMessage {
  const said = parseObject(line);
  const { type, version, lineage, why, mqtts, wss, issuer, fingerprint, certificate, events } =
    said;
  switch (type) {
    case "hello": {
      if (said["state"] !== undefined && !isText(said["state"])) break;
      const state = said["state"] === undefined ? {} : { state: said["state"] };
      if (lineage === undefined && version === undefined) return { type, ...state };
      if (isText(lineage) && lineageForm.test(lineage) && isCount(version))
        return { type, lineage, version, ...state };
      break;
    }
    case "stored": {
      const { incarnation, number } = said;
      if (isText(incarnation) && incarnationForm.test(incarnation) && isCount(number))
        return { type, incarnation, number };
      break;
    }
    case "applied": {
      const { connectionsClosed, sessionsEnded, messagesWithheld, milliseconds } = said;
      const wellFormed =
        [version, connectionsClosed, sessionsEnded, messagesWithheld].every(isCount) &&
        isDuration(milliseconds);
      if (!wellFormed) break;
      return {
        type,
        version,
        connectionsClosed,
        sessionsEnded,
        messagesWithheld,
        milliseconds,
      } as BrokerMessage;
    }
    case "refused":
      if (isCount(version) && isText(why)) return { type, version, why };
      break;
    case "rekeyed": {
      const { current, destroyed } = said;
      if (!isKeyId(current) || !Array.isArray(destroyed) || !destroyed.every(isKeyId)) break;
      return { type, current, destroyed };
    }
    case "bans": {
      if (!Array.isArray(said["bans"])) break;
      const bans = said["bans"].map(decodeBan);
      if (!bans.every((ban) => ban !== undefined)) break;
      return { type, bans };
    }
    case "not-rekeyed":
    case "not-renewed":
      if (isText(why)) return { type, why };
      break;
    case "certificate-request": {
      const { request } = said;
      if (isText(request)) return { type, request };
      break;
    }
    case "server-certificate": {
      const { serialNumber, notBefore, notAfter, isOurs } = said;
      const wellFormed =
        isText(serialNumber) &&
        /^[0-9A-F]{1,64}$/.test(serialNumber) &&
        isCount(notBefore) &&
        isCount(notAfter) &&
        typeof isOurs === "boolean";
      if (!wellFormed) break;
      return { type, serialNumber, notBefore, notAfter, isOurs };
    }
    case "ready":
      if (isText(mqtts) && isText(wss)) return { type, mqtts, wss };
      break;
    case "snapshot-wanted":
      return { type };
    case "key-missing":
      if (isText(issuer)) return { type, issuer };
      break;
    case "introspect": {
      const { id, token } = said;
      if (isCount(id) && typeof token === "string" && token.length <= longestToken)
        return { type, id, token };
      break;
    }
    case "used":
      if (isText(fingerprint) && fingerprintForm.test(fingerprint)) return { type, fingerprint };
      break;
    case "foreign":
      if (isBase64(certificate)) return { type, certificate };
      break;
    case "rules-used": {
      const rules = decodeRules(said["rules"]);
      if (rules === undefined) break;
      return { type, rules };
    }
    case "shadow-counts": {
      const counts = decodeShadowCounts(said);
      if (counts === undefined) break;
      return { type, ...counts };
    }
    case "events":
      if (Array.isArray(events)) return { type, events };
      break;
  }
  throw new FeedError("ERR_FEED_LINE");
}

function decodeBan(value: unknown): BanSummary | undefined {
  const { of, failures, until } = Object(value) as Record<string, unknown>;
  const wellFormed = isText(of) && banForm.test(of) && isCount(failures) && isCount(until);
  return wellFormed ? { of, failures, until } : undefined;
}
