import { type Command, InvalidArgumentError, Option } from "commander";

/** What commands share when they talk to a person. */
export interface Json {
  readonly json?: boolean;
}

export const print = (text: string) => void process.stdout.write(`${text}\n`);
export const printJson = (value: unknown) => print(JSON.stringify(value, undefined, 2));
export const report = (line: string) => void process.stderr.write(`wardmq: ${line}\n`);

export function day(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** A command that only holds others. */
export function group(program: Command, name: string, summary: string, example: string): Command {
  return program
    .command(name)
    .summary(summary)
    .description(summary)
    .usage("COMMAND")
    .helpCommand(false)
    .addHelpText("after", `\nExamples:\n  ${example}`);
}

export function runtimeOption(): Option {
  return new Option("--runtime <name>", "what runs control and broker (default: bun)").choices([
    "bun",
    "node",
  ]);
}

/** The parser of an option that is a whole number. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : -1;
    if (number >= least && number <= most) return number;
    throw new InvalidArgumentError(`write a number from ${least} to ${most}`);
  };
}

export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
