import { Argument, type Command } from "commander";
import { enterDeployment, takeDirectory } from "./deployment.ts";

export type Operand = readonly [name: string, summary: string];

interface Wording {
  readonly summary: string;
  readonly operands?: readonly Operand[];
  readonly examples: readonly string[];
}

/**
 * A command on a deployment: `[DIR] OPERAND...`. Commander knows no optional argument before required ones, so it gets
 * one list of words, and the help shows what they mean.
 */
export function deploymentCommand(
  parent: Command,
  name: string,
  { summary, operands = [], examples }: Wording,
): Command {
  const directory: Operand = ["[DIR]", "the deployment's folder (default: WARDMQ_DIR)"];
  const shown = [directory, ...operands];
  return parent
    .command(name)
    .summary(summary)
    .description(summary)
    .usage(["[options]", ...shown.map(([operand]) => operand)].join(" "))
    .argument("[words...]")
    .configureHelp({
      visibleArguments: () =>
        shown.map(([operand, meaning]) => new Argument(`<${operand}>`, meaning)),
      argumentTerm: (argument) => argument.name(),
    })
    .addHelpText("after", `\nExamples:\n${examples.map((example) => `  ${example}`).join("\n")}`);
}

/** Runs `body` in the deployment that the words name, with the words that are left. */
export function inDeployment<Options>(
  operands: readonly string[],
  body: (rest: readonly string[], options: Options, directory: string) => Promise<void> | void,
): (words: readonly string[], options: Options) => Promise<void> {
  return async (words, options) => {
    const { directory, rest } = takeDirectory(words, operands, process.env);
    enterDeployment(directory);
    await body(rest, options, directory);
  };
}
