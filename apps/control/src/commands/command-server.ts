import type { Socket } from "node:net";
import type { CommandResponse } from "@wardmq/commands";
import { FeedError, LineSplitter } from "@wardmq/feed";
import type { Failure } from "../failure.ts";
import { wrongRequest } from "./requests.ts";

/** A thousand devices of an import. */
const longestRequest = 16 * 1024 * 1024;
const idleMs = 60_000;

/** Answers one connection's requests, one after the other, in order. */
export function serveCommands(
  socket: Socket,
  answer: (line: string) => Promise<CommandResponse>,
  refuse: (error: Failure) => CommandResponse,
): void {
  const lines = new LineSplitter(longestRequest);
  let last = Promise.resolve();
  const respond = (response: CommandResponse) => {
    if (socket.writable) socket.write(`${JSON.stringify(response)}\n`);
  };
  socket.setTimeout(idleMs, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  // Whoever ends its half after the request still gets the answer.
  socket.on("end", () => void last.then(() => socket.end()));
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const line of lines.push(chunk))
        last = last.then(async () => respond(await answer(line)));
    } catch (error) {
      if (!(error instanceof FeedError)) throw error;
      respond(refuse(wrongRequest(error.message)));
      socket.end();
    }
  });
}
