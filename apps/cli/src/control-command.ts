import { type CommandName, type Commands, commands } from "@wardmq/commands";
import type { Command } from "commander";
import { ask } from "./ask.ts";
import { type Json, print, printJson } from "./command-line.ts";
import { deploymentCommand, inDeployment, type Operand } from "./deployment-command.ts";

interface ControlCommand<Name extends CommandName, Options> {
  readonly operands?: readonly Operand[];
  readonly examples: readonly string[];
  /** Adds the options beside `--json`. */
  readonly options?: (command: Command) => Command;
  readonly arguments: (
    operands: readonly string[],
    options: Options,
  ) => Commands[Name]["arguments"];
  /** The result for a person, without `--json`. */
  readonly text: (result: Commands[Name]["result"]) => string;
  /** What `--json` prints; without it the whole result. */
  readonly json?: (result: Commands[Name]["result"]) => unknown;
  /** Throws where a result means that the command ends with another code than 0. */
  readonly check?: (result: Commands[Name]["result"]) => void;
}

/** A command that asks control for one row of packages/commands and prints what comes back. */
export function controlCommand<Name extends CommandName, Options extends object = object>(
  parent: Command,
  name: string,
  row: Name,
  {
    operands = [],
    examples,
    options,
    text,
    json = (result) => result,
    check,
    ...from
  }: ControlCommand<Name, Options>,
): void {
  const { summary } = commands[row];
  const command = deploymentCommand(parent, name, { summary, operands, examples });
  const whole = options === undefined ? command : options(command);
  const names = operands.map(([operand]) => operand);
  whole.option("--json", "print the result as JSON").action(
    inDeployment(names, async (words, { json: wantsJson, ...given }: Options & Json) => {
      const result = await ask(row, from.arguments(words, given as unknown as Options));
      if (wantsJson) printJson(json(result));
      else print(text(result));
      check?.(result);
    }),
  );
}
