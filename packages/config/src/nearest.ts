/** The candidate that a slip of the keyboard could have turned into `text`, or nothing close enough. */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  if (text.length > 100) return undefined;
  const lastLevel = text.slice(text.lastIndexOf(".") + 1);
  const ranked = candidates
    .map((candidate) => ({
      candidate,
      steps: distance(text.toLowerCase(), candidate.toLowerCase()),
    }))
    .sort((a, b) => a.steps - b.steps);
  const [best] = ranked;
  if (best && best.steps <= Math.max(2, Math.floor(lastLevel.length / 4))) return best.candidate;
  return candidates.find((candidate) => candidate.endsWith(`.${lastLevel}`));
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
