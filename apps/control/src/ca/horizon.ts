import type { expiryClasses } from "@wardmq/commands";

export type ExpiryClass = (typeof expiryClasses)[number];

/** Something that ends. */
export interface Ending {
  readonly class: ExpiryClass;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

export interface HorizonDay {
  /** ISO 8601, UTC. */
  readonly day: string;
  readonly class: ExpiryClass;
  readonly expiring: number;
  /** Of all endings of the class. */
  readonly share: number;
  readonly isCluster: boolean;
}

/** More of a fleet than this on one day is a day to look at. */
const clusterShare = 0.05;
/** Below it a share says nothing: of ten devices each is ten percent. */
const smallestFleet = 100;

/** What ends when: one row for each day and class, by day. */
export function horizonOf(endings: readonly Ending[]): readonly HorizonDay[] {
  const totals = Map.groupBy(endings, (ending) => ending.class);
  const byDayAndClass = Map.groupBy(
    endings,
    (ending) => `${new Date(ending.notAfter).toISOString().slice(0, 10)} ${ending.class}`,
  );
  return [...byDayAndClass]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, { length }]) => {
      const className = key.slice(11) as ExpiryClass;
      const total = totals.get(className)?.length ?? length;
      const share = length / total;
      return {
        day: key.slice(0, 10),
        class: className,
        expiring: length,
        share,
        isCluster: total >= smallestFleet && share > clusterShare,
      };
    });
}
