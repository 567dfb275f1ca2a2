import { spawn } from "node:child_process";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import type { CommandName, Commands } from "@wardmq/commands";
import { absentCodes, parseResponse, resultOf, socketPath, unanswered } from "./ask.ts";
import { minimalEnvironment } from "./environment.ts";
import { systemCode } from "./failure.ts";
import { deploymentPassphrase, passphraseFor } from "./keys.ts";
import { chooseRuntime, programs } from "./runtime.ts";

interface Line {
  readonly input: Readable;
  readonly output: Writable;
}

/** Asks one control the same command many times, one after the other, and gives the results in order. */
export async function* askEach<Name extends CommandName>(
  command: Name,
  all: Iterable<Commands[Name]["arguments"]>,
): AsyncGenerator<Commands[Name]["result"]> {
  const { input, output } = (await overSocket()) ?? overOneShot();
  const answers = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })[
    Symbol.asyncIterator
  ]();
  try {
    for (const wanted of all) {
      output.write(`${JSON.stringify({ command, arguments: wanted })}\n`);
      const { value, done } = await answers.next();
      if (done === true) throw unanswered("ended before it answered");
      yield resultOf<Name>(parseResponse(value));
    }
  } finally {
    output.end();
  }
}

function overSocket(): Promise<Line | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.removeAllListeners("error");
      socket.on("error", () => socket.destroy()); // the end of its lines tells
      resolve({ input: socket, output: socket });
    });
    socket.once("error", (error) =>
      absentCodes.has(systemCode(error) ?? "") ? resolve(undefined) : reject(error),
    );
  });
}

function overOneShot(): Line {
  const { command, options } = chooseRuntime(undefined);
  const { stdio, variables, give } = passphraseFor(deploymentPassphrase());
  const child = spawn(command, [...options, programs.control, "once", "."], {
    stdio: ["pipe", "pipe", "inherit", ...stdio],
    env: { ...minimalEnvironment(process.env), ...variables },
  });
  give(child);
  const [output, input] = [child.stdio[0] as Writable, child.stdio[1] as Readable];
  output.on("error", () => {}); // it ended early: the end of its lines tells
  child.on("error", () => input.destroy());
  return { input, output };
}
