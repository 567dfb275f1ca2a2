/**
 * Milliseconds since 1970 with a fraction: Date.now() has none, and most latencies here are below one. The monotonic
 * clock is set anew when the two have moved apart, as they do when a laptop sleeps.
 */
export function preciseClock(): () => number {
  let origin = Date.now() - performance.now();
  return () => {
    const now = origin + performance.now();
    const wall = Date.now();
    if (Math.abs(now - wall) < 5) return now;
    origin = wall - performance.now();
    return wall;
  };
}
