import { existsSync } from "node:fs";
import { printable, type SecurityEvent } from "@wardmq/events";
import type { StorePosition } from "@wardmq/feed";
import { replaceFile } from "@wardmq/keys";
import { z } from "zod";
import { systemCode } from "../failure.ts";
import { readText } from "../files.ts";
import type { Registry } from "../registry/registry.ts";

/** What the file says: nothing of anybody. */
const form = z.strictObject({
  about: z.string(),
  deployment: z.string(),
  /** Of the registry's history. */
  history: z.string(),
  /** Of the broker's store, when it was last heard of. */
  store: z.strictObject({ incarnation: z.string(), number: z.int() }).optional(),
});

const about =
  "Where the state of a WardMQ deployment stands: an older copy of its folder is known by it. See docs/durability.md.";

interface AnchorParts {
  /** "" for none. */
  readonly path: string;
  readonly deployment: string;
  readonly registry: Pick<Registry, "position" | "hasBeenAt">;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
}

/**
 * Where registry and broker's store stand, in a file that lies outside of the deployment's folder: who puts back an older
 * copy of the whole folder leaves it as it is.
 */
export class Anchor {
  readonly #parts: AnchorParts;
  /** Where the broker's store stood, when the file says so. */
  readonly store: StorePosition | undefined;
  #written: string | undefined;
  /** Whether it may be written. */
  readonly #isOurs: boolean;
  #isLost = false;

  /** Reads the file, and says so when the registry has stood further. */
  constructor(parts: AnchorParts) {
    this.#parts = parts;
    const { path, registry, record } = parts;
    const isMissing = path !== "" && !existsSync(path);
    if (isMissing) this.#lost("is not there, and is made now");
    const found = path === "" || isMissing ? undefined : this.#read();
    this.#isOurs = isMissing || found !== undefined;
    if (found === undefined) return;
    this.store = found.store;
    if (registry.hasBeenAt(found.history)) return;
    const why = `${printable(path)} knows more of the history than the registry holds: the deployment's folder is an older copy of itself`;
    record({ type: "control-rolled-back", why });
  }

  /** Writes where the state stands now, if that is anything new. */
  keep(store: StorePosition | undefined): void {
    const { path, deployment, registry } = this.#parts;
    const stand = { about, deployment, history: registry.position, ...(store && { store }) };
    const text = `${JSON.stringify(stand, undefined, 2)}\n`;
    if (!this.#isOurs || text === this.#written) return;
    try {
      replaceFile(path, text, 0o600);
      this.#written = text;
      this.#isLost = false;
    } catch (error) {
      const why = systemCode(error);
      if (why === undefined) throw error;
      this.#lost(`can not be written: ${why}`);
    }
  }

  /** Undefined where it says nothing of this deployment: it is not for us to write over then. */
  #read(): z.infer<typeof form> | undefined {
    const { path, deployment } = this.#parts;
    const { data } = form.safeParse(parseJson(path));
    if (data?.deployment === deployment) return data;
    const what = data === undefined ? "is damaged or can not be read" : "is of another deployment";
    this.#lost(`${what}: it is left as it is; take it away to have a new one`);
    return undefined;
  }

  /** Once for as long as it lasts. */
  #lost(what: string): void {
    if (this.#isLost) return;
    this.#isLost = true;
    const { path, record } = this.#parts;
    record({ type: "anchor-lost", why: `${printable(path)} ${what}` });
  }
}

function parseJson(path: string): unknown {
  try {
    return JSON.parse(readText(path));
  } catch {
    return undefined;
  }
}
