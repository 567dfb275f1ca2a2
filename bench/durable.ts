import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type LoadResult, numberAt } from "./generator.ts";

const limitSeconds = 2;

/**
 * What a durable run has cost the disk, and the limit: how many of the same messages a loop could keep that does nothing
 * but append the same bytes in the same batches, with an fdatasync after each.
 */
export function withLimit(result: LoadResult, directory: string): LoadResult {
  const { commits, bytesPerCommit } = readJournal(join(directory, "broker", "state", "journal.db"));
  const messagesPerCommit = numberAt(result, "publishedInAll") / commits;
  const perSecond = numberAt(result, "durablePerSecond");
  const limit = appendsPerSecond(join(directory, "append.bin"), bytesPerCommit) * messagesPerCommit;
  return {
    ...result,
    messagesPerCommit,
    bytesPerCommit,
    fsyncsPerSecond: perSecond / messagesPerCommit,
    appendLimitPerSecond: limit,
    shareOfLimit: perSecond / limit,
  };
}

/** Segments are numbered from 1; the latest ones are still there. */
function readJournal(path: string): { commits: number; bytesPerCommit: number } {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const row = database
      .prepare("SELECT max(number) AS commits, avg(length(sealed)) AS bytesPerCommit FROM journal")
      .get();
    return row as { commits: number; bytesPerCommit: number };
  } finally {
    database.close();
  }
}

function appendsPerSecond(path: string, bytes: number): number {
  const file = openSync(path, "w");
  try {
    const batch = Buffer.alloc(Math.round(bytes), 1);
    const startedAt = performance.now();
    let appended = 0;
    while (performance.now() - startedAt < limitSeconds * 1_000) {
      writeSync(file, batch);
      fdatasyncSync(file);
      appended += 1;
    }
    return appended / ((performance.now() - startedAt) / 1_000);
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
