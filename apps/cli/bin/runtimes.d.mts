export type RuntimeName = "bun" | "node";

export interface Runtime {
  readonly name: RuntimeName;
  readonly command: string;
  readonly options: readonly string[];
}

export function findRuntime(name: RuntimeName): Runtime | undefined;
export function missingRuntime(name: RuntimeName): string;
