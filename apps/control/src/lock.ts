import { connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { Failure } from "./failure.ts";

/** Held for as long as a process may change the deployment. */
export interface Lock {
  release(): void;
}

/**
 * Takes the deployment's lock: an exclusive SQLite transaction that is never committed. The kernel lets go of it with
 * the process, however that ends, so no stale lock can remain.
 */
export async function takeLock(path: string, waitMs: number, socketPath: string): Promise<Lock> {
  const database = new DatabaseSync(path);
  const until = Date.now() + waitMs;
  for (;;) {
    if (beginExclusive(database)) return { release: () => database.close() };
    // Whoever waits for a control that serves would wait for ever: its socket is the way in.
    const isServed = await accepts(socketPath);
    if (isServed || Date.now() >= until) {
      database.close();
      throw isServed
        ? new Failure("ERR_CONTROL_RUNS", "a running control holds this deployment", {
            hint: "ask it through its socket",
          })
        : new Failure("ERR_BUSY", "another process holds this deployment", {
            hint: "try again when it has ended",
          });
    }
    await delay(20);
  }
}

function beginExclusive(database: DatabaseSync): boolean {
  try {
    database.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes("locked")) return false;
    throw error;
  }
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(200, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
