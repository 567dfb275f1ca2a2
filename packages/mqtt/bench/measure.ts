/** Prints how many nanoseconds one call takes: the median of several rounds after a warm-up. */
export function measure(name: string, work: () => unknown): void {
  const rounds: number[] = [];
  for (let round = 0; round < 9; round++) {
    const calls = 20_000;
    const start = performance.now();
    for (let i = 0; i < calls; i++) sink = work();
    if (round > 1) rounds.push(((performance.now() - start) * 1e6) / calls);
  }
  rounds.sort((a, b) => a - b);
  const median = rounds[rounds.length >> 1] ?? 0;
  console.log(`${name.padEnd(48)} ${median.toFixed(0).padStart(7)} ns/op`);
}

/** Keeps the results from being optimized away. */
export let sink: unknown;
