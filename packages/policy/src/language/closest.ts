/** A hint for a word that is not among the known ones: the one probably meant, or what there is. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = known.find((candidate) => word.length <= 64 && isNear(word, candidate));
  if (near !== undefined) return `did you mean ${near}?`;
  if (known.length === 0) return "there is none yet";
  const more = known.length > 10 ? ` and ${known.length - 10} more` : "";
  return `known are ${known.slice(0, 10).join(", ")}${more}`;
}

/** Whether one text becomes the other by at most two insertions, deletions or replacements of a character. */
function isNear(a: string, b: string): boolean {
  if (a.toLowerCase() === b.toLowerCase()) return true;
  if (Math.abs(a.length - b.length) > 2 || Math.min(a.length, b.length) < 4) return false;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return (row[b.length] ?? 3) <= 2;
}
