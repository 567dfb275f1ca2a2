/** What a part asked a timer to do, done when the test says so. */
export interface Captured<Made> {
  readonly made: Made;
  /** Runs the callback of the interval the part set. */
  readonly turn: () => void;
}

/** What a part does about an error that a test does not expect. */
export function fail(error: unknown): never {
  throw error;
}

/** Makes a part that sets one interval for good; the interval is ours and no time passes by itself. */
export function withoutInterval<Made>(make: () => Made): Captured<Made> {
  const original = globalThis.setInterval;
  let turn: (() => void) | undefined;
  const capture = (callback: () => void) => {
    turn = callback;
    const never = original(() => {}, 0x7fff_ffff);
    clearInterval(never);
    return never;
  };
  globalThis.setInterval = capture as unknown as typeof setInterval;
  try {
    const made = make();
    if (turn === undefined) throw new Error("no interval was set");
    return { made, turn };
  } finally {
    globalThis.setInterval = original;
  }
}

/** Runs `body` with setImmediate in its hands: what was asked for waits until `run`. */
export function withImmediates<Result>(body: (run: () => void) => Result): Result {
  const original = globalThis.setImmediate;
  let waiting: (() => void)[] = [];
  const capture = (callback: () => void) => {
    waiting.push(callback);
  };
  globalThis.setImmediate = capture as unknown as typeof setImmediate;
  try {
    return body(() => {
      const now = waiting;
      waiting = [];
      for (const callback of now) callback();
    });
  } finally {
    globalThis.setImmediate = original;
  }
}
