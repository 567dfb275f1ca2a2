/** How long other work of the event loop may have to wait. */
const sliceMs = 2;

export interface SlicesParts {
  /** Milliseconds that never go back. */
  readonly monotonic: () => number;
  /** Does the work after what else waits for the event loop. */
  readonly nextTurn: (work: () => void) => void;
}

/**
 * Does something with each item, in slices between which the event loop is free. Returns nothing where the first slice was
 * enough; else a promise of the end.
 */
export function inSlices<Item>(
  items: readonly Item[],
  work: (item: Item) => void,
  { monotonic, nextTurn }: SlicesParts,
): Promise<void> | undefined {
  let at = 0;
  const slice = () => {
    const end = monotonic() + sliceMs;
    while (at < items.length) {
      work(items[at] as Item);
      at += 1;
      if (monotonic() >= end) break;
    }
    return at === items.length;
  };
  if (slice()) return undefined;
  return new Promise((resolve, reject) => {
    const goOn = () => {
      try {
        if (slice()) resolve();
        else nextTurn(goOn);
      } catch (error) {
        reject(error);
      }
    };
    nextTurn(goOn);
  });
}
