/** The plain twin of `topicMatches`: 5.0 section 4.7 level by level. */
export function matchesByLevels(filter: string, name: string): boolean {
  const wanted = filter.split("/");
  const levels = name.split("/");
  if (/^[+#]/.test(filter) && name.startsWith("$")) return false;
  const open = wanted.at(-1) === "#";
  if (open) wanted.pop();
  const longEnough = open ? levels.length >= wanted.length : levels.length === wanted.length;
  return longEnough && wanted.every((level, i) => level === "+" || level === levels[i]);
}
