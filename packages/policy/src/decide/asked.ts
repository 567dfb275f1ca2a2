/** In place of a level's text: `+`. Numbers from 0 are an attribute by its index in `attributeNames`. */
export const anyLevel = -1;

/**
 * What a client asks for, by levels: a Topic Filter, in which `+` is `anyLevel` and `#` and `/#` are kept as in
 * RulePattern, or a Topic Name, which is asked for alone.
 */
export interface Asked {
  readonly levels: readonly (string | typeof anyLevel)[];
  readonly rest: boolean;
}

/** The levels of a Topic Filter; undefined where it is none (5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2]). */
export function askedFilter(topicFilter: string): Asked | undefined {
  if (topicFilter === "") return undefined;
  const levels: (string | typeof anyLevel)[] = topicFilter.split("/");
  const rest = levels.at(-1) === "#";
  if (rest) levels.pop();
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (level === "+") levels[i] = anyLevel;
    else if (typeof level === "string" && /[+#]/.test(level)) return undefined;
  }
  if (topicFilter === "#" || topicFilter === "/#") levels.push(anyLevel);
  return { levels, rest };
}

/** The levels of a well-formed Topic Name. */
export function askedName(topicName: string): Asked | undefined {
  return topicName === "" ? undefined : { levels: topicName.split("/"), rest: false };
}
