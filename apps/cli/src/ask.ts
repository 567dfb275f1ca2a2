import { spawn } from "node:child_process";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { CommandName, CommandRequest, CommandResponse, Commands } from "@wardmq/commands";
import { minimalEnvironment } from "./environment.ts";
import { Failure, systemCode } from "./failure.ts";
import { deploymentPassphrase, passphraseFor } from "./keys.ts";
import { chooseRuntime, programs } from "./runtime.ts";

export const socketPath = "run/control.sock"; // relative: see enterDeployment
const answerTimeoutMs = 30_000;
const longestAnswer = 64 * 1024 * 1024;

/**
 * Asks the control of the deployment in the current folder, and where none runs a control that lives for this one
 * request. Control and one-shot exclude each other by a lock; who loses the race for it tries the socket again.
 */
export async function ask<Name extends CommandName>(
  command: Name,
  commandArguments: Commands[Name]["arguments"],
): Promise<Commands[Name]["result"]> {
  return resultOf<Name>(await send(requestOf(command, commandArguments)));
}

/** Has a one-shot control do what needs no running one, in a folder that need not exist. */
export async function askOnce<Name extends CommandName>(
  directory: string,
  command: Name,
  commandArguments: Commands[Name]["arguments"],
  passphrase?: string,
): Promise<Commands[Name]["result"]> {
  return resultOf<Name>(await once(requestOf(command, commandArguments), directory, passphrase));
}

function requestOf<Name extends CommandName>(
  command: Name,
  commandArguments: Commands[Name]["arguments"],
): CommandRequest {
  return { command, arguments: commandArguments } as CommandRequest;
}

/** The result of a response; a refusal is thrown. */
export function resultOf<Name extends CommandName>(
  response: CommandResponse,
): Commands[Name]["result"] {
  // INVARIANT: control answers a command with that command's result; both sides share packages/commands.
  if (response.ok) return response.result as Commands[Name]["result"];
  const { message, hint, exitCode } = response.error;
  throw new Failure(exitCode === 2 ? 2 : 1, message, hint ?? "");
}

async function send(request: CommandRequest): Promise<CommandResponse> {
  for (let attempt = 1; ; attempt++) {
    const answered =
      (await overSocket(request)) ?? (await once(request, process.cwd(), deploymentPassphrase()));
    const busy = !answered.ok && busyCodes.has(answered.error.code);
    if (!busy || attempt === 20) return answered;
    await delay(50 * Math.min(attempt, 10));
  }
}

/** What a one-shot control says when another one holds the lock. */
const busyCodes: ReadonlySet<string> = new Set(["ERR_BUSY", "ERR_CONTROL_RUNS"]);

/** The answer over the socket, or undefined where nobody listens. */
function overSocket(request: CommandRequest): Promise<CommandResponse | undefined> {
  return new Promise((resolve, reject) => {
    let text = "";
    let connected = false;
    const socket = connect(socketPath);
    socket.setEncoding("utf8");
    socket.setTimeout(answerTimeoutMs, () => {
      socket.destroy();
      reject(unanswered("did not answer in time"));
    });
    socket.on("connect", () => {
      connected = true;
      socket.write(`${JSON.stringify(request)}\n`);
    });
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (text.includes("\n") || text.length > longestAnswer) socket.end();
    });
    socket.on("error", (error) => {
      if (!connected && absentCodes.has(systemCode(error) ?? "")) resolve(undefined);
      else if (!connected) reject(unreachable(error));
      // After connecting, "close" follows and says what came of it.
    });
    socket.on("close", () => {
      const line = firstLine(text);
      if (line !== undefined) resolve(parseResponse(line));
      else if (connected) reject(unanswered("ended before it answered"));
    });
  });
}

export const absentCodes: ReadonlySet<string> = new Set(["ENOENT", "ECONNREFUSED"]);

function unreachable(error: Error): Failure {
  const why = systemCode(error) ?? error.message;
  return new Failure(
    1,
    `cannot reach control at ${socketPath}: ${why}`,
    "run this as the user who runs wardmq serve",
  );
}

export function unanswered(why: string): Failure {
  return new Failure(
    1,
    `control ${why}; it is not known whether the command was done`,
    "look with wardmq list",
  );
}

/** A control that works directly on the files, for one request. */
function once(
  request: CommandRequest,
  directory: string,
  passphrase: string | undefined,
): Promise<CommandResponse> {
  const { command, options } = chooseRuntime(undefined);
  const { stdio, variables, give } = passphraseFor(passphrase);
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...options, programs.control, "once", directory], {
      stdio: ["pipe", "pipe", "inherit", ...stdio],
      env: { ...minimalEnvironment(process.env), ...variables },
    });
    give(child);
    let text = "";
    child.stdout?.setEncoding("utf8");
    child.stdout?.on("data", (chunk: string) => {
      text += chunk;
    });
    child.stdin?.on("error", () => {}); // it ended early: "close" tells
    child.stdin?.end(`${JSON.stringify(request)}\n`);
    child.on("error", (error) =>
      reject(new Failure(1, `could not start ${command}: ${error.message}`, "run npm ci")),
    );
    child.on("close", (code, signal) => {
      const line = firstLine(text);
      if (line !== undefined) return resolve(parseResponse(line));
      const how = signal === null ? `with ${code}` : `by ${signal}`;
      reject(
        new Failure(
          code === 2 ? 2 : 1,
          `control ended ${how} without an answer`,
          "its error stands above",
        ),
      );
    });
  });
}

function firstLine(text: string): string | undefined {
  const end = text.indexOf("\n");
  return end < 0 ? undefined : text.slice(0, end);
}

export function parseResponse(line: string): CommandResponse {
  const response: unknown = JSON.parse(line);
  if (typeof response === "object" && response !== null && "ok" in response) {
    return response as CommandResponse;
  }
  throw new Failure(
    1,
    "control gave an answer that is none",
    "check that wardmq and control are of the same version",
  );
}
