import { printable } from "@wardmq/events";

/** One thing that is wrong in `wardmq.yaml` or on the command line. */
export interface Problem {
  /** The file's name, or `--set KEY` for an override. */
  readonly file: string;
  /** From 1; 0 for an override. */
  readonly line: number;
  readonly column: number;
  /** Dotted; empty when the problem is not about one key. */
  readonly key: string;
  readonly message: string;
  /** What to write instead. */
  readonly hint: string;
}

/** One problem in one line: where, which key, what was expected. */
export function formatProblem({ file, line, column, key, message, hint }: Problem): string {
  const where = line === 0 ? printable(file) : `${printable(file)}:${line}:${column}`;
  const what = key === "" || line === 0 ? message : `${printable(key)}: ${message}`;
  return `${where}: ${what}; ${hint}`;
}

/** The operator was wrong: everything that was found, in the order of the file. */
export class ConfigError extends Error {
  readonly code = "ERR_CONFIG";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}
