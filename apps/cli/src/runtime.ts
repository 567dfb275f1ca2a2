import { fileURLToPath } from "node:url";
import { findRuntime, missingRuntime, type Runtime, type RuntimeName } from "../bin/runtimes.mjs";
import { Failure } from "./failure.ts";

/** The runtime for control and broker: the one asked for, else Bun, else Node. */
export function chooseRuntime(asked: RuntimeName | undefined): Runtime {
  const found =
    asked === undefined ? (findRuntime("bun") ?? findRuntime("node")) : findRuntime(asked);
  if (found === undefined) throw new Failure(1, missingRuntime(asked ?? "bun"), "then start again");
  return found;
}

/** The options both runtimes get from us, which are no reason to refuse. */
export const ownRuntimeOptions: readonly string[] = (["bun", "node"] as const).flatMap(
  (name) => findRuntime(name)?.options ?? [],
);

/** The programs of this repository that the CLI starts; it never imports them. */
export const programs = {
  broker: program("../../broker/src/main.ts"),
  control: program("../../control/src/main.ts"),
  ward: program("../../ward/src/main.ts"),
  idp: program("../../idp/src/main.ts"),
} as const;

function program(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
