import { printable } from "@wardmq/events";
import { Failure, responseOf } from "./failure.ts";
import { once } from "./once.ts";
import { serve } from "./serve.ts";

const usage = "usage: main.ts serve DIR [--set KEY=VALUE]...  or  main.ts once DIR";

interface Invocation {
  readonly mode: "serve" | "once";
  readonly directory: string;
  readonly overrides: readonly string[];
}

function parseArguments([mode, directory, ...rest]: readonly string[]): Invocation {
  const wrong = new Failure("ERR_USAGE", usage);
  if ((mode !== "serve" && mode !== "once") || directory === undefined) throw wrong;
  if (mode === "once" && rest.length > 0) throw wrong;
  const overrides: string[] = [];
  for (let at = 0; at < rest.length; at += 2) {
    const [flag, override] = [rest[at], rest[at + 1]];
    if (flag !== "--set" || override === undefined) throw wrong;
    overrides.push(override);
  }
  return { mode, directory, overrides };
}

const report = (line: string) => void process.stderr.write(`${line}\n`);

async function main(): Promise<number> {
  process.umask(0o077); // every file, folder and socket we make is for our user only
  const { mode, directory, overrides } = parseArguments(process.argv.slice(2));
  if (mode === "once") return once(directory, report);
  return serve(directory, overrides, report);
}

main().then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    const { message, hint, exitCode } = responseOf(error, report).error;
    report(hint === undefined ? message : `${message}; ${hint}`);
    if (error instanceof Failure && error.cause instanceof Error)
      report(`because: ${printable(error.cause.message)}`);
    process.exit(exitCode);
  },
);
