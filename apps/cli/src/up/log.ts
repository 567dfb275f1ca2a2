import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Where control, broker and their supervisor write while the live table owns the terminal. */
export interface Log {
  /** The file, or the terminal where no table is drawn. */
  readonly stderr: "inherit" | number;
  readonly report: (line: string) => void;
  /** What was written, for the case that the table never came. */
  contents(): string;
  close(): void;
}

/** On a terminal a file of the current deployment, started anew; else the standard error that `report` writes to. */
export function openLog(isTerminal: boolean, report: (line: string) => void): Log {
  if (!isTerminal) return { stderr: "inherit", report, contents: () => "", close: () => {} };
  mkdirSync("run", { recursive: true, mode: 0o700 });
  const path = join("run", "serve.log");
  const file = openSync(path, "w", 0o600);
  return {
    stderr: file,
    report: (line) => void writeSync(file, `wardmq: ${line}\n`),
    contents: () => readFileSync(path, "utf8"),
    close: () => closeSync(file),
  };
}
