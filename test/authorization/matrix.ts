import type { ProtocolVersion } from "@wardmq/mqtt";
import type { Path, Refusal } from "./path.ts";
import { publishingPaths } from "./publishing-paths.ts";
import { readingPaths } from "./reading-paths.ts";
import { type Attempted, orgs, type Place, type Right, rights, topicOf } from "./rights.ts";

export const kinds = ["device", "service"] as const;
/** What changes between the two halves of a path. */
export const moments = ["policy", "revocation"] as const;
export type Moment = (typeof moments)[number];

export const acts = [
  { name: "publish", channel: "telemetry", paths: publishingPaths },
  { name: "subscribe", channel: "command", paths: readingPaths },
] as const;
export type Act = (typeof acts)[number];

/** Cells with one actor: they are played one after the other. */
export interface Lane {
  readonly org: (typeof orgs)[number];
  readonly kind: (typeof kinds)[number];
  readonly act: Act;
  readonly path: Path;
  readonly version: ProtocolVersion;
  readonly cells: readonly Cell[];
}

export interface Cell {
  /** The test's name. */
  readonly name: string;
  readonly right: Right;
  /** What happens between the halves, and whether it takes this actor's right. */
  readonly moment?: Moment;
  readonly isLost: boolean;
  /** Where it is denied: how. */
  readonly refusal: Refusal | undefined;
}

const [own] = rights;
const edition = { 4: "3.1.1", 5: "5.0" } as const;

/** Every path for both kinds of subject and both editions, with a cell for each right; in the second tenant for some. */
export function lanesWithoutChange(): Lane[] {
  return orgs.flatMap((org, i) => {
    const asked = i === 0 ? rights : rights.filter(({ isOfTenants }) => isOfTenants);
    return lanes(org, ({ act, path, prefix }) => [
      applicable(act, asked).map((right) => ({
        name: `${prefix}: ${right.name} is ${right.effect === "Permit" ? "permitted" : "denied"}`,
        right,
        isLost: false,
        refusal: right.effect === "Permit" ? undefined : path.denied,
      })),
    ]);
  });
}

/** The same paths where the right is there at first; each that loses it has a neighbour that keeps it. */
export function lanesWithChange(moment: Moment): Lane[] {
  return lanes(orgs[0], ({ path, prefix }) =>
    [false, true].map((isLost) => [
      {
        name: `${prefix}: ${isLost ? `denied after ${losses[moment]}` : `permitted after ${keeps[moment]}`}`,
        right: own as Right,
        moment,
        isLost,
        refusal: isLost ? path.lost[moment] : undefined,
      },
    ]),
  );
}

const losses = {
  policy: "a new policy takes the right away",
  revocation: "the subject is revoked",
} as const;
const keeps = {
  policy: "a new policy takes others' rights away",
  revocation: "others are revoked",
} as const;

/** The rights that can be asked for in this act: a Topic Name has no wildcards. */
export function applicable({ name }: Act, all: readonly Right[]): Right[] {
  return all.filter((right) => right[name] !== undefined);
}

/** What a cell asks for. */
export function attemptedIn({ act }: Lane, { right }: Cell, place: Place): Attempted {
  return right[act.name]?.(place) ?? { asked: topicOf(place) };
}

type LaneHead = Pick<Lane, "act" | "path"> & { readonly prefix: string };

function lanes(
  org: Lane["org"],
  cellsOf: (head: LaneHead) => readonly (readonly Cell[])[],
): Lane[] {
  const all: Lane[] = [];
  for (const kind of kinds) {
    for (const act of acts) {
      for (const path of act.paths) {
        for (const version of path.versions ?? ([4, 5] as const)) {
          const reads = act.name === "publish" ? "publishing" : "reading";
          const prefix = `${edition[version]} ${kind} of ${org} ${reads}, ${path.name}`;
          const head = { act, path, prefix };
          for (const cells of cellsOf(head)) all.push({ org, kind, act, path, version, cells });
        }
      }
    }
  }
  return all;
}
