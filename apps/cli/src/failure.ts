/** Why a command ends without having done its work; main.ts prints it and ends with `exitCode`. */
export class Failure extends Error {
  readonly code = "ERR_CLI";
  /** What to do instead. */
  readonly hint: string;
  /** 1: refused or failed; 2: wrong input or configuration. */
  readonly exitCode: 1 | 2;

  constructor(exitCode: 1 | 2, message: string, hint: string) {
    super(message);
    this.name = "Failure";
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

/** The `code` of an error of the system, such as ENOENT. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
