import type { Socket } from "node:net";

/** Resolves when the socket is gone, however it went. */
export function goneOf(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  return new Promise((resolve) => {
    socket.on("close", () => resolve());
    socket.resume();
  });
}

/** Polls until `attempt` gives something, at most ten seconds. */
export async function until<Found>(
  what: string,
  attempt: () => Promise<Found | undefined> | Found | undefined,
): Promise<Found> {
  for (let i = 0; i < 150; i += 1) {
    const found = await attempt();
    if (found !== undefined) return found;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  throw new Error(`did not happen in time: ${what}`);
}
