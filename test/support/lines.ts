import type { ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";

/** The lines of a stream, without their ends. */
export async function* lines(stream: Readable): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + String(chunk)).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}

/** The first line a process prints; an error with what it said instead where it prints none in time. */
export function firstLine(child: ChildProcess, timeoutMs = 30_000): Promise<string> {
  return new Promise((resolve, reject) => {
    let out = "";
    let complaint = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail("printed nothing in time");
    }, timeoutMs);
    const fail = (what: string) => {
      clearTimeout(timer);
      reject(new Error(`${child.spawnargs.slice(1).join(" ")} ${what}: ${complaint}`));
    };
    child.stderr?.on("data", (chunk) => {
      complaint += String(chunk);
    });
    child.stdout?.on("data", (chunk) => {
      out += String(chunk);
      const at = out.indexOf("\n");
      if (at < 0) return;
      clearTimeout(timer);
      resolve(out.slice(0, at));
    });
    child.on("error", (cause) => fail(String(cause)));
    child.on("close", (code, signal) => fail(`ended with ${code ?? signal}`));
  });
}
