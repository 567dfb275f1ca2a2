import type { Commands } from "@wardmq/commands";
import type { PolicyFile } from "@wardmq/policy";
import { Failure } from "../failure.ts";
import type { Doing } from "../registry/registry.ts";
import { digestOf } from "./policy-files.ts";
import type { PolicyVersion, PolicyVersions } from "./policy-versions.ts";

export interface PoliciesParts {
  readonly store: PolicyVersions;
  readonly readFiles: () => readonly PolicyFile[];
  readonly writeFiles: (files: readonly PolicyFile[]) => void;
  /** Checks the files and makes them count; throws, and changes nothing, where they are wrong. */
  readonly takeOver: (doing: Doing, reason: string) => Promise<unknown>;
}

interface Applied {
  readonly version: number;
  readonly changed: boolean;
}

/** The policy in force and its former versions: what operators do with them. */
export class Policies {
  readonly #parts: PoliciesParts;

  constructor(parts: PoliciesParts) {
    this.#parts = parts;
  }

  current(): PolicyVersion {
    return this.#latest();
  }

  version(number: number): PolicyVersion {
    return this.#parts.store.read(number);
  }

  versions(): readonly Omit<PolicyVersion, "files">[] {
    const { store } = this.#parts;
    return store.numbers().map((number) => {
      const { files: _, ...version } = store.read(number);
      return version;
    });
  }

  /**
   * Takes the files over that lie there, or these in their place, if they are those whose digest was shown, and if the
   * version in force is still the one they were compared with.
   */
  async apply(wanted: Commands["policy.apply"]["arguments"], doing: Doing): Promise<Applied> {
    const { digest, files, replaces, reason } = wanted;
    if (digestOf(files ?? this.#parts.readFiles()) !== digest) {
      throw changed("the policy files have changed since they were shown");
    }
    this.#refuseOther(replaces);
    return files === undefined
      ? this.#takeOver(reason, doing)
      : this.#replace(files, reason, doing);
  }

  /** Writes the files of a former version, and takes them over; where they no longer fit, the files stay as they were. */
  async rollback(
    { version, replaces, reason }: Commands["policy.rollback"]["arguments"],
    doing: Doing,
  ): Promise<Applied> {
    this.#refuseOther(replaces);
    const { files } = this.#parts.store.read(version);
    return this.#replace(files, `rollback to version ${version}: ${reason}`, doing);
  }

  #refuseOther(shown: number | undefined): void {
    if (shown === undefined || this.#latest().version === shown) return;
    throw changed("another policy is in force than the one that was shown");
  }

  async #replace(files: readonly PolicyFile[], reason: string, doing: Doing): Promise<Applied> {
    const { readFiles, writeFiles } = this.#parts;
    const before = readFiles();
    writeFiles(files);
    try {
      return await this.#takeOver(reason, doing);
    } catch (error) {
      writeFiles(before);
      throw error;
    }
  }

  async #takeOver(reason: string, doing: Doing): Promise<Applied> {
    const former = this.#latest();
    await this.#parts.takeOver(doing, reason);
    const { version } = this.#latest();
    return { version, changed: version !== former.version };
  }

  #latest(): PolicyVersion {
    const latest = this.#parts.store.latest();
    if (latest !== undefined) return latest;
    throw new Failure("ERR_POLICY_VERSION", "no policy has been in force yet", {
      hint: "start wardmq serve once",
    });
  }
}

function changed(message: string): Failure {
  return new Failure("ERR_POLICY_CHANGED", message, { hint: "look at the difference again" });
}
