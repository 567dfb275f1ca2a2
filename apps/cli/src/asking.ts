import type { CommandName, Commands } from "@wardmq/commands";
import type { Command } from "commander";
import { ask } from "./ask.ts";
import { askEach } from "./converse.ts";
import { inDeployment } from "./deployment-command.ts";
import { Failure } from "./failure.ts";
import { demoProfile } from "./login/profile.ts";
import { askRemote, type Remote } from "./remote.ts";

/** How a command reaches control: in the deployment's folder, or over the API of one that is elsewhere. */
export interface Asking {
  ask<Name extends CommandName>(
    name: Name,
    given: Commands[Name]["arguments"],
  ): Promise<Commands[Name]["result"]>;
  /** The same command many times, one after the other; gives the results in order. */
  askEach<Name extends CommandName>(
    name: Name,
    all: Iterable<Commands[Name]["arguments"]>,
  ): AsyncGenerator<Commands[Name]["result"]>;
}

const here: Asking = { ask, askEach };

function there(remote: Remote): Asking {
  return {
    ask: (name, given) => askRemote(remote, name, given),
    async *askEach(name, all) {
      for (const given of all) yield await askRemote(remote, name, given);
    },
  };
}

/** `--url`, and `--credential` or `--profile`, which belong to it. */
export type Afar = { readonly [Key in keyof Remote]?: Remote[Key] | undefined };

/** Adds the options of a command that operators may give from afar. */
export function fromAfar(command: Command): Command {
  return command
    .option("--url <url>", "give the command to the API there, instead of DIR")
    .option("--credential <folder>", "who gives it: a credential of an operator, with --url")
    .option(
      "--profile <path>",
      `who gives it: whoever logged in with wardmq login (default: ${demoProfile})`,
    );
}

/** Runs `body` with the words that are left of `[DIR] OPERAND...`, and with a way to ask that `--url` says. */
export async function asking(
  operands: readonly string[],
  words: readonly string[],
  { url, credential, profile }: Afar,
  body: (asked: Asking, rest: readonly string[]) => Promise<void>,
): Promise<void> {
  if (url === undefined && credential === undefined && profile === undefined)
    return inDeployment(operands, (rest) => body(here, rest))(words, {});
  if (url === undefined) {
    const message = "--credential and --profile belong to --url";
    throw new Failure(2, message, "name the API with --url");
  }
  const remote =
    credential === undefined
      ? { url, profile: profile ?? demoProfile }
      : { url, credential, profile };
  if (words.length === operands.length) return body(there(remote), words);
  const expected = operands.length === 0 ? "nothing" : operands.join(" ");
  throw new Failure(2, `expected ${expected} beside --url`, "leave DIR out: --url stands for it");
}

/** The action of a command that asks control: what it was given without the options of `fromAfar`, and whether they are there. */
export function atControl<Options extends object>(
  operands: readonly string[],
  body: (
    ask: Asking["ask"],
    rest: readonly string[],
    options: Options,
    isAfar: boolean,
  ) => Promise<void>,
): (words: readonly string[], options: Options & Afar) => Promise<void> {
  return (words, { url, credential, profile, ...rest }) => {
    const options = rest as unknown as Options;
    return asking(operands, words, { url, credential, profile }, ({ ask }, left) =>
      body(ask, left, options, url !== undefined),
    );
  };
}
