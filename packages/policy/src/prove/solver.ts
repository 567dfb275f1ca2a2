import { namePattern, segmentPattern, uuidPattern } from "../language/policy.ts";

/** A fixed text, or an unknown by its number. */
export type Term = string | number;

/** Texts of which an unknown is one; each kind holds all those before it. */
export const kinds = ["uuid", "name", "segment", "plain", "any"] as const;
export type Kind = (typeof kinds)[number];

const has: Readonly<Record<Kind, (text: string) => boolean>> = {
  uuid: (text) => uuidPattern.test(text),
  name: (text) => namePattern.test(text),
  segment: (text) => segmentPattern.test(text),
  plain: (text) => !text.startsWith("$"),
  any: () => true,
};

/** What an unknown may be. */
export interface Domain {
  readonly kind: Kind;
  /** Where it is one of finitely many. */
  readonly only?: ReadonlySet<string>;
  readonly except?: ReadonlySet<string>;
  /** What a made-up value is called: `ward` becomes `ward-1`. */
  readonly called: string;
}

/** Two terms that are to differ. */
export type Difference = readonly [Term, Term];

/** Conditions on unknowns: all terms of `equal` are equal in pairs, and of each clause one pair at least differs. */
export interface Conditions {
  readonly domains: readonly Domain[];
  readonly equal: readonly (readonly [Term, Term])[];
  readonly clauses: readonly (readonly Difference[])[];
}

/**
 * Values of all unknowns under which the conditions hold, or undefined where there are none. Exact: kinds are without
 * end, so unknowns that nothing makes equal can always be given texts that stand nowhere else; the rest is a search.
 */
export function solve({ domains, equal, clauses }: Conditions): readonly string[] | undefined {
  const state = State.of(domains);
  for (const [one, other] of equal) if (!state.equate(one, other)) return undefined;
  return search(state, clauses)?.values();
}

function search(state: State, clauses: readonly (readonly Difference[])[]): State | undefined {
  let open = clauses;
  for (let isForced = true; isForced; ) {
    isForced = false;
    const left: (readonly Difference[])[] = [];
    for (const clause of open) {
      if (clause.some(([one, other]) => state.differ(one, other))) continue;
      const possible = clause.filter(([one, other]) => !state.areSame(one, other));
      const [only] = possible;
      if (only === undefined) return undefined;
      if (possible.length > 1) left.push(possible);
      else if (state.separate(...only)) isForced = true;
      else return undefined;
    }
    open = left;
  }
  const [first] = open.toSorted((a, b) => a.length - b.length);
  if (first === undefined) return chooseFinite(state);
  const others = open.filter((clause) => clause !== first);
  for (const difference of first) {
    const next = state.copy();
    const found = next.separate(...difference) ? search(next, others) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** Gives each unknown of finitely many values one of them. */
function chooseFinite(state: State): State | undefined {
  const unsettled = state.unsettled();
  if (unsettled === undefined) return state.isConsistent() ? state : undefined;
  for (const text of unsettled.texts) {
    const next = state.copy();
    const found = next.equate(unsettled.unknown, text) ? chooseFinite(next) : undefined;
    if (found) return found;
  }
  return undefined;
}

interface Held {
  rank: number;
  only: ReadonlySet<string> | undefined;
  except: ReadonlySet<string>;
}

/** Unknowns joined where they are equal, with what each joined one may still be. */
class State {
  readonly #domains: readonly Domain[];
  readonly #parents: number[];
  readonly #held: Held[];
  readonly #unequal: [number, number][];

  private constructor(
    domains: readonly Domain[],
    parents: number[],
    held: Held[],
    unequal: [number, number][],
  ) {
    this.#domains = domains;
    this.#parents = parents;
    this.#held = held;
    this.#unequal = unequal;
  }

  static of(domains: readonly Domain[]): State {
    const held = domains.map(({ kind, only, except = new Set<string>() }): Held => {
      return { rank: kinds.indexOf(kind), only, except };
    });
    return new State(domains, [...domains.keys()], held, []);
  }

  copy(): State {
    return new State(
      this.#domains,
      [...this.#parents],
      this.#held.map((one) => ({ ...one })),
      [...this.#unequal],
    );
  }

  equate(one: Term, other: Term): boolean {
    if (typeof one === "string")
      return typeof other === "string" ? one === other : this.equate(other, one);
    const root = this.#root(one);
    if (typeof other === "string") return this.#narrow(root, { only: new Set([other]) });
    const into = this.#root(other);
    if (root === into) return true;
    this.#parents[root] = into;
    const { rank, only, except } = this.#held[root] as Held;
    return this.#narrow(into, { rank, only, except }) && this.#keepsApart();
  }

  separate(one: Term, other: Term): boolean {
    if (typeof one === "string") {
      return typeof other === "string" ? one !== other : this.separate(other, one);
    }
    const root = this.#root(one);
    if (typeof other === "string") return this.#narrow(root, { except: new Set([other]) });
    const second = this.#root(other);
    if (root === second) return false;
    this.#unequal.push([root, second]);
    return this.#keepsApart();
  }

  areSame(one: Term, other: Term): boolean {
    if (
      typeof one === "number" &&
      typeof other === "number" &&
      this.#root(one) === this.#root(other)
    ) {
      return true;
    }
    const text = this.#textOf(one);
    return text !== undefined && text === this.#textOf(other);
  }

  differ(one: Term, other: Term): boolean {
    const [text, second] = [this.#textOf(one), this.#textOf(other)];
    if (text !== undefined && second !== undefined) return text !== second;
    if (text !== undefined) return typeof other === "number" && !this.#mayBe(other, text);
    if (second !== undefined) return typeof one === "number" && !this.#mayBe(one, second);
    if (typeof one === "string" || typeof other === "string") return false;
    const [a, b] = [this.#root(one), this.#root(other)];
    return this.#unequal.some(([x, y]) => {
      const [p, q] = [this.#root(x), this.#root(y)];
      return (p === a && q === b) || (p === b && q === a);
    });
  }

  /** An unknown that is one of several texts. */
  unsettled(): { unknown: number; texts: readonly string[] } | undefined {
    for (let i = 0; i < this.#parents.length; i++) {
      const { only } = this.#held[this.#root(i)] as Held;
      if (only !== undefined && only.size > 1) return { unknown: i, texts: [...only] };
    }
    return undefined;
  }

  isConsistent(): boolean {
    return this.#keepsApart();
  }

  /** A text for each unknown; made-up ones stand nowhere else. */
  values(): readonly string[] {
    const taken = new Set(this.#held.flatMap(({ except, only }) => [...except, ...(only ?? [])]));
    const made = new Map<number, string>();
    return this.#parents.map((_, i) => {
      const root = this.#root(i);
      const text = made.get(root) ?? this.#textOf(root) ?? this.#makeUp(root, taken);
      made.set(root, text);
      taken.add(text);
      return text;
    });
  }

  #makeUp(root: number, taken: ReadonlySet<string>): string {
    const kind = kinds[(this.#held[root] as Held).rank];
    const called = this.#domains[root]?.called ?? "x";
    for (let n = 1; ; n++) {
      const text =
        kind === "uuid"
          ? `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`
          : `${called}-${n}`;
      if (!taken.has(text)) return text;
    }
  }

  #root(unknown: number): number {
    let at = unknown;
    while (this.#parents[at] !== at) at = this.#parents[at] as number;
    return at;
  }

  #textOf(term: Term): string | undefined {
    if (typeof term === "string") return term;
    const { only } = this.#held[this.#root(term)] as Held;
    return only?.size === 1 ? [...only][0] : undefined;
  }

  #mayBe(unknown: number, text: string): boolean {
    const { rank, only, except } = this.#held[this.#root(unknown)] as Held;
    return has[kinds[rank] as Kind](text) && !except.has(text) && only?.has(text) !== false;
  }

  /** Takes away what an unknown can no longer be; false where nothing is left. */
  #narrow(root: number, by: Partial<Held>): boolean {
    const held = this.#held[root] as Held;
    const rank = Math.min(held.rank, by.rank ?? held.rank);
    const except = by.except ? new Set([...held.except, ...by.except]) : held.except;
    const texts = by.only ?? held.only;
    const only =
      texts &&
      new Set(
        [...texts].filter(
          (text) =>
            held.only?.has(text) !== false && has[kinds[rank] as Kind](text) && !except.has(text),
        ),
      );
    this.#held[root] = { rank, only, except };
    return only?.size !== 0 && this.#keepsApart();
  }

  /** Whether nothing is equal that is to differ; a fixed text is taken from what differs from it. */
  #keepsApart(): boolean {
    for (const [x, y] of this.#unequal) {
      const [a, b] = [this.#root(x), this.#root(y)];
      if (a === b) return false;
      const [text, second] = [this.#textOf(a), this.#textOf(b)];
      if (text !== undefined && text === second) return false;
      if (text !== undefined && second === undefined && this.#mayBe(b, text)) {
        if (!this.#narrow(b, { except: new Set([text]) })) return false;
      } else if (second !== undefined && text === undefined && this.#mayBe(a, second)) {
        if (!this.#narrow(a, { except: new Set([second]) })) return false;
      }
    }
    return true;
  }
}
