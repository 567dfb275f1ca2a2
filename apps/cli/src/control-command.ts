import { type CommandName, type Commands, commands } from "@wardmq/commands";
import type { Command } from "commander";
import { ask } from "./ask.ts";
import { type Json, print, printJson } from "./command-line.ts";
import { deploymentCommand, inDeployment, type Operand } from "./deployment-command.ts";
import { Failure } from "./failure.ts";
import { demoProfile } from "./login/profile.ts";
import { askRemote, type Remote } from "./remote.ts";

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
): void {
  const { summary } = commands[name];
  const command = deploymentCommand(parent, word, { summary, operands, examples });
  const whole = options === undefined ? command : options(command);
  const names = operands.map(([operand]) => operand);
  const row = commands[name];
  if (row.role !== "local")
    whole
      .option("--url <url>", "give the command to the API there, instead of DIR")
      .option("--credential <folder>", "who gives it: a credential of an operator, with --url")
      .option(
        "--profile <path>",
        `who gives it: whoever logged in with wardmq login (default: ${demoProfile})`,
      );
  whole
    .option("--json", "print the result as JSON")
    .action(async (words: string[], options: Options & Json & Partial<Remote>) => {
      const { json: wantsJson, url, credential, profile, ...given } = options;
      const end = (result: Commands[Name]["result"]) => {
        if (wantsJson) printJson(json(result));
        else print(text(result));
        check?.(result);
      };
      const wanted = (rest: readonly string[]) => from.arguments(rest, given as unknown as Options);
      const remote = remoteOf({ url, credential, profile }, words, names);
      if (remote !== undefined) return end(await askRemote(remote, name, wanted(words)));
      await inDeployment(names, async (rest) => end(await ask(name, wanted(rest))))(words, {});
    });
}

function remoteOf(
  { url, credential, profile }: { [Part in keyof Remote]: Remote[Part] | undefined },
  words: readonly string[],
  names: readonly string[],
): Remote | undefined {
  if (url === undefined && credential === undefined && profile === undefined) return undefined;
  if (url === undefined) {
    const message = "--credential and --profile belong to --url";
    throw new Failure(2, message, "name the API with --url");
  }
  if (words.length === names.length) {
    return credential === undefined
      ? { url, profile: profile ?? demoProfile }
      : { url, credential, profile };
  }
  const expected = names.length === 0 ? "nothing" : names.join(" ");
  throw new Failure(2, `expected ${expected} beside --url`, "leave DIR out: --url stands for it");
}
