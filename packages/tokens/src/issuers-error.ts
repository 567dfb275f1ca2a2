import { printable } from "@wardmq/events";

/** One thing that is wrong in `issuers.yaml`; lines and columns count from 1. */
export interface IssuersProblem {
  readonly line: number;
  readonly column: number;
  /** `issuers.hospital.audience`; empty when the whole file is meant. */
  readonly path: string;
  readonly message: string;
}

/** The operator was wrong: the file is refused whole, with everything that was found. */
export class IssuersError extends Error {
  readonly code = "ERR_ISSUERS";
  readonly problems: readonly IssuersProblem[];

  constructor(file: string, problems: readonly IssuersProblem[]) {
    const lines = problems.map(
      ({ line, column, path, message }) =>
        `${printable(file)}:${line}:${column}: ${path === "" ? "" : `${printable(path)}: `}${message}`,
    );
    super(lines.join("\n"));
    this.name = "IssuersError";
    this.problems = problems;
  }
}
