import { printable } from "@wardmq/events";

/** One thing wrong with a policy. Texts are safe to print; lines and columns count from 1. */
export interface Problem {
  /** Left out where the error has it. */
  readonly file?: string;
  readonly line: number;
  readonly column: number;
  /** `roles.bedside-device.publish[0]`; empty when the whole file is meant. */
  readonly path: string;
  /** What was expected and what was found. */
  readonly message: string;
  /** What to write instead. */
  readonly hint: string;
}

/** The operator was wrong: a policy is refused whole, with everything that was found, in the file's order. */
export class PolicyError extends Error {
  readonly code = "ERR_POLICY";
  readonly file: string;
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super(problems.map((problem) => describeProblem(problem, file)).join("\n"));
    this.name = "PolicyError";
    this.file = file;
    this.problems = problems;
  }
}

/** A problem in one line: `policy.yaml:3:5: roles.nurse.pubish: expected ...; did you mean publish?`. */
export function describeProblem(problem: Problem, errorFile: string): string {
  const { file = errorFile, line, column, path, message, hint } = problem;
  return `${printable(file)}:${line}:${column}: ${path && `${path}: `}${message}; ${hint}`;
}
