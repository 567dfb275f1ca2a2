import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { KeysError, passphraseDescriptor, refuseShort } from "@wardmq/keys";
import { readDescriptor } from "./descriptor.ts";
import { Failure } from "./failure.ts";

/** A passphrase from a file descriptor, else typed at the terminal: never from an argument or a variable. */
export function readPassphrase(descriptor: number | undefined, question: string): string {
  const text = descriptor === undefined ? typed(question) : fromDescriptor(descriptor);
  const passphrase = text.replace(/\r?\n$/, "");
  if (passphrase !== "") return passphrase;
  throw new Failure(2, "the passphrase is empty", "type it, or write it to the descriptor");
}

/** A new passphrase: long enough, and typed twice where it is typed. */
export function readNewPassphrase(descriptor: number | undefined, question: string): string {
  const passphrase = readPassphrase(descriptor, question);
  try {
    refuseShort(passphrase);
  } catch (error) {
    if (error instanceof KeysError) throw new Failure(2, error.message, error.hint);
    throw error;
  }
  if (descriptor === undefined && typed("the same again: ").trimEnd() !== passphrase)
    throw new Failure(2, "the two passphrases differ", "try again");
  return passphrase;
}

const throughDescriptor = `give it through a descriptor: --passphrase-fd N, or ${passphraseDescriptor}=N for the keys`;

function fromDescriptor(descriptor: number): string {
  try {
    return readDescriptor(descriptor).toString("utf8");
  } catch {
    const hint = "give it one that is open: wardmq ... --passphrase-fd 3 3<FILE";
    throw new Failure(2, `nothing can be read from file descriptor ${descriptor}`, hint);
  }
}

/** One line from the terminal of this process, which does not show it. */
export function typed(question: string, hint = throughDescriptor): string {
  let terminal: number;
  try {
    terminal = openSync("/dev/tty", "r+");
  } catch {
    throw new Failure(2, "there is no terminal to type a secret at", hint);
  }
  const echo = (is: "echo" | "-echo") =>
    spawnSync("stty", [is], { stdio: [terminal, "ignore", "ignore"] });
  try {
    writeSync(terminal, question);
    echo("-echo");
    const line: number[] = [];
    const octet = Buffer.alloc(1);
    while (readSync(terminal, octet, 0, 1, null) === 1 && octet[0] !== 0x0a)
      line.push(octet[0] ?? 0);
    writeSync(terminal, "\n");
    return Buffer.from(line).toString("utf8");
  } finally {
    echo("echo");
    closeSync(terminal);
  }
}
