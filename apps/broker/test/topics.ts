import fc from "fast-check";

/** Few levels, so that random filters and names meet often. */
const level = fc.constantFrom("a", "b", "", "c", "$SYS", "$x", "__proto__");

/** A Topic Name of up to four levels. */
export const topicName = fc
  .array(level, { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join("/"))
  .filter((name) => name !== "");

/** A well-formed Topic Filter that is not shared. */
export const topicFilter = fc
  .tuple(
    fc.array(
      fc.oneof({ weight: 3, arbitrary: level }, { weight: 1, arbitrary: fc.constant("+") }),
      {
        maxLength: 4,
      },
    ),
    fc.boolean(),
  )
  .map(([levels, open]) => [...levels, ...(open ? ["#"] : [])].join("/"))
  .filter((filter) => filter !== "" && !filter.startsWith("$share"));

/** The plain twin of every way topics are matched in the broker: 5.0 section 4.7 level by level. */
export function matches(filter: string, name: string): boolean {
  const wanted = filter.split("/");
  const levels = name.split("/");
  if (/^[+#]/.test(filter) && name.startsWith("$")) return false;
  const open = wanted.at(-1) === "#";
  if (open) wanted.pop();
  const longEnough = open ? levels.length >= wanted.length : levels.length === wanted.length;
  return longEnough && wanted.every((each, i) => each === "+" || each === levels[i]);
}
