import type { CommandResponse } from "@wardmq/commands";
import { ConfigError } from "@wardmq/config";
import { KeysError } from "@wardmq/keys";
import { PolicyError } from "@wardmq/policy";
import { IssuersError } from "@wardmq/tokens";
import { type ControlErrorCode, controlErrors } from "./errors.ts";

interface FailureOptions {
  /** What to do instead. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** A refusal, or something an operator has to put right: one sentence, safe to print. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly code: ControlErrorCode;
  readonly hint: string | undefined;
  readonly exitCode: 1 | 2;

  constructor(code: ControlErrorCode, message: string, { hint, cause }: FailureOptions = {}) {
    super(message, { cause });
    this.code = code;
    this.hint = hint;
    this.exitCode = controlErrors[code].exitCode;
  }
}

/** The code of a system call that failed, such as ENOENT. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** The disk is full, for a file of ours or for SQLite (SQLITE_FULL), or our share of it is. */
function isDiskFull(error: unknown): boolean {
  const code = systemCode(error);
  const { errcode } = error as { readonly errcode?: number };
  return code === "ENOSPC" || code === "EDQUOT" || errcode === 13;
}

/** What goes back for an error: refusals as they are, our own mistakes as a generic sentence with the cause on `report`. */
export function responseOf(
  error: unknown,
  report: (line: string) => void,
): CommandResponse & { ok: false } {
  if (error instanceof Failure) {
    const { code, message, hint, exitCode } = error;
    return {
      ok: false,
      error: { code, message, exitCode, ...(hint === undefined ? {} : { hint }) },
    };
  }
  if (isDiskFull(error)) {
    const full = "the disk is full; the command was not done";
    return responseOf(new Failure("ERR_DISK_FULL", full, { hint: "free some of it" }), report);
  }
  if (error instanceof KeysError) {
    const { code, message, hint } = error;
    return { ok: false, error: { code, message, hint, exitCode: 2 } };
  }
  if (
    error instanceof ConfigError ||
    error instanceof PolicyError ||
    error instanceof IssuersError
  ) {
    return { ok: false, error: { code: error.code, message: error.message, exitCode: 2 } };
  }
  report(error instanceof Error ? (error.stack ?? error.message) : String(error));
  const message = "control made a mistake; the command was not done";
  return {
    ok: false,
    error: { code: "ERR_INTERNAL", message, hint: "the output of control says more", exitCode: 1 },
  };
}
