import { type CommandName, type Commands, commands } from "@wardmq/commands";
import type { Command } from "commander";
import { type Afar, asking, fromAfar } from "./asking.ts";
import { type Json, print, printJson } from "./command-line.ts";
import { deploymentCommand, type Operand } from "./deployment-command.ts";

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
  word: string,
  name: Name,
  {
    operands = [],
    examples,
    options,
    text,
    json = (result) => result,
    check,
    ...from
  }: ControlCommand<Name, Options>,
): Command {
  const { summary } = commands[name];
  const command = deploymentCommand(parent, word, { summary, operands, examples });
  const whole = options === undefined ? command : options(command);
  const names = operands.map(([operand]) => operand);
  if (commands[name].role !== "local") fromAfar(whole);
  whole
    .option("--json", "print the result as JSON")
    .action(async (words: string[], options: Options & Json & Afar) => {
      const { json: wantsJson, url, credential, profile, ...given } = options;
      const end = (result: Commands[Name]["result"]) => {
        if (wantsJson) printJson(json(result));
        else print(text(result));
        check?.(result);
      };
      await asking(names, words, { url, credential, profile }, async (asked, rest) =>
        end(await asked.ask(name, from.arguments(rest, given as unknown as Options))),
      );
    });
  return command;
}
