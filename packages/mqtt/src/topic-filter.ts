import { MqttError } from "./errors.ts";
import type { TopicName } from "./topic-name.ts";
import { isUtf8EncodedString } from "./utf8.ts";

declare const brand: unique symbol;

/** What a subscription asks for: levels, `+` for any one level, `#` at the end for any rest. */
export type TopicFilter = string & { readonly [brand]: "TopicFilter" };

export interface SharedSubscription {
  readonly group: string;
  readonly filter: TopicFilter;
}

const dollar = 0x24;
const hash = 0x23;
const plus = 0x2b;
const slash = 0x2f;
const sharePrefix = "$share/";

/** Makes a Topic Filter of a text or throws ERR_MQTT_TOPIC_FILTER; `$share/` is not looked into. */
export function parseTopicFilter(text: string): TopicFilter {
  if (!isTopicFilter(text)) throw new MqttError("ERR_MQTT_TOPIC_FILTER");
  return text;
}

/** Whether the text is a Topic Filter, 5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2] and [MQTT-4.7.3-1] to -3. */
export function isTopicFilter(text: string): text is TopicFilter {
  return text.length > 0 && wildcardsAreLevels(text) && isUtf8EncodedString(text);
}

function wildcardsAreLevels(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== plus && code !== hash) continue;
    if (i > 0 && text.charCodeAt(i - 1) !== slash) return false;
    const last = i === text.length - 1;
    if (code === hash ? !last : !last && text.charCodeAt(i + 1) !== slash) return false;
  }
  return true;
}

/**
 * The parts of `$share/GROUP/FILTER`, undefined for a filter that is not shared; a malformed one throws
 * ERR_MQTT_SHARED_SUBSCRIPTION (5.0 [MQTT-4.8.2-1], [MQTT-4.8.2-2]).
 */
export function parseSharedSubscription(filter: string): SharedSubscription | undefined {
  if (!filter.startsWith(sharePrefix)) return undefined;
  const end = filter.indexOf("/", sharePrefix.length);
  const group = filter.slice(sharePrefix.length, end);
  const rest = filter.slice(end + 1);
  if (end === -1 || group === "" || /[+#]/.test(group) || !isTopicFilter(rest)) {
    throw new MqttError("ERR_MQTT_SHARED_SUBSCRIPTION");
  }
  return { group, filter: rest };
}

/**
 * Hot path. Whether the filter matches the name; a wildcard in the first level does not match a name
 * that begins with `$` (5.0 [MQTT-4.7.2-1]). Walks char codes and allocates nothing.
 */
export function topicMatches(filter: TopicFilter, name: TopicName): boolean {
  let code = filter.charCodeAt(0);
  if (name.charCodeAt(0) === dollar && (code === plus || code === hash)) return false;
  const filterEnd = filter.length;
  const nameEnd = name.length;
  let n = 0;
  for (let f = 0; f < filterEnd; f++) {
    code = filter.charCodeAt(f);
    if (code === hash) return true;
    if (code === plus) {
      while (n < nameEnd && name.charCodeAt(n) !== slash) n++;
    } else if (n < nameEnd && name.charCodeAt(n) === code) {
      n++;
    } else {
      // "a/#" matches "a" too: all that is left of the filter is "/#".
      return n === nameEnd && f === filterEnd - 2 && code === slash && filter.endsWith("#");
    }
  }
  return n === nameEnd;
}

/**
 * Whether every Topic Name that `inner` can match is matched by `outer`. Set inclusion, not text: `#`
 * and `+/#` include each other, `a/#` includes `a`, and no wildcard includes a level beginning with `$`
 * where it is the first. Shared Subscriptions are compared by their filters.
 */
export function filterIncludes(outer: TopicFilter, inner: TopicFilter): boolean {
  const out = shapeOf(outer);
  const inn = shapeOf(inner);
  const longEnough = out.open
    ? inn.levels.length >= out.levels.length
    : inn.levels.length === out.levels.length && !inn.open;
  if (!longEnough) return false;
  return out.levels.every((level, i) => {
    const within = inn.levels[i] ?? "";
    return level === "+" ? !(i === 0 && within.startsWith("$")) : level === within;
  });
}

/** The levels every matched name begins with, and whether more may follow. */
function shapeOf(filter: TopicFilter): { levels: readonly string[]; open: boolean } {
  // No Topic Name is empty, so that "#" takes at least one level, and "/#" a second one.
  if (filter === "#") return { levels: ["+"], open: true };
  if (filter === "/#") return { levels: ["", "+"], open: true };
  return filter.endsWith("/#")
    ? { levels: filter.slice(0, -2).split("/"), open: true }
    : { levels: filter.split("/"), open: false };
}
