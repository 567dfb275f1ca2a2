import { parentPort, workerData } from "node:worker_threads";
import { SealedDatabase } from "./sealed-database.ts";
import type { FromWorker, SqliteJournalOptions, ToWorker } from "./sqlite-journal-store.ts";

/** How long after a commit there is time for what nobody waits for. */
const tidyMs = 500;

const database = new SealedDatabase(workerData as SqliteJournalOptions);
/** What the latest segment lies in. */
let memory: ArrayBufferLike = new ArrayBuffer(0);
let tidying: NodeJS.Timeout | undefined;

function read(): FromWorker {
  const { totalBytes } = database;
  let done = 0;
  const report = database.read((number, bytes, storedBytes) => {
    done += storedBytes;
    const why = bytes === undefined ? "it does not open: changed, or from another place" : "";
    const progress = totalBytes === 0 ? 1 : done / totalBytes;
    const whole = bytes?.buffer as ArrayBuffer | undefined; // of its own: it was opened into it
    const transfer = whole === undefined ? [] : [whole];
    send({ type: "segment", number, bytes, storedBytes, why, progress }, transfer);
  });
  return { type: "read", report };
}

function answer(message: ToWorker): FromWorker {
  switch (message.type) {
    case "read":
      return read();
    case "append": {
      const { number, start, length, keepFrom } = message;
      memory = message.memory ?? memory;
      const bytes = new Uint8Array(memory, start, length);
      tidying ??= setTimeout(tidy, tidyMs);
      return { type: "kept", storedBytes: database.append(number, bytes, keepFrom) };
    }
    case "rotate":
      database.rotate(message.key);
      return { type: "done" };
    case "forget":
      database.forget(message.keyId);
      return { type: "done" };
    case "close":
      clearTimeout(tidying);
      database.close();
      return { type: "done" };
  }
}

/** It may fail where appending does; whoever appends next says so. */
function tidy(): void {
  tidying = undefined;
  try {
    if (database.tidy()) tidying = setTimeout(tidy, tidyMs);
  } catch {}
}

function send(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

parentPort?.on("message", (message: ToWorker) => {
  try {
    send(answer(message));
  } catch (error) {
    send({ type: "refused", why: error instanceof Error ? error.message : "unknown" });
  }
  if (message.type === "close") parentPort?.close();
});
