import { chmodSync, fstatSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { resolve } from "node:path";
import { currentActor } from "./actor.ts";
import { removeLeftSnapshots } from "./backup/backup.ts";
import { serveCommands } from "./commands/command-server.ts";
import { Control } from "./control.ts";
import { enterDeployment, paths } from "./deployment.ts";
import { takeLock } from "./lock.ts";

const lockWaitMs = 2_000;
const waveMs = 10_000;
/** How often the anchor is looked at. */
const anchorMs = 5_000;
const crlLookMs = 1_000;
const hourMs = 60 * 60 * 1000;

/**
 * Serves a deployment until it is told to stop.
 *
 *     checking --> listening (ready) --SIGTERM, SIGINT or end of the parent--> stopped
 *                     | SIGHUP or `reload`: both files are read again, a broken one changes nothing
 */
export async function serve(
  directory: string,
  overrides: readonly string[],
  report: (line: string) => void,
): Promise<number> {
  const stopped = untilStopped();
  let onHangup = () => {}; // until everything is read, which it will be anyway
  process.on("SIGHUP", () => onHangup());
  enterDeployment(resolve(directory));
  await using stack = new AsyncDisposableStack();
  const lock = await takeLock(paths.lock, lockWaitMs, paths.controlSocket);
  stack.defer(() => lock.release());
  removeLeftSnapshots();
  const control = await Control.open({ overrides, report, now: Date.now });
  stack.defer(() => control.close());

  const tools = createServer({ allowHalfOpen: true }, (socket) =>
    serveCommands(
      socket,
      (line) => control.answer(line, currentActor()),
      (error) => control.refuse(error),
    ),
  );
  const brokers = createServer((socket) => control.acceptBroker(socket));
  stack.use(await listen(tools, paths.controlSocket));
  stack.use(await listen(brokers, paths.feedSocket));

  onHangup = () => {
    control.reload("SIGHUP").then(
      (changed) =>
        report(changed.length > 0 ? `took over ${changed.join(" and ")}` : "nothing changed"),
      (error: unknown) => control.refuse(error), // that a file was refused is an event already
    );
  };
  const hourly = setInterval(() => {
    control.renewHttps();
    control.publishRevocationLists();
    control.endChangeOvers();
  }, hourMs);
  stack.defer(() => clearInterval(hourly));
  const anchoring = setInterval(() => control.keepAnchor(), anchorMs);
  stack.defer(() => clearInterval(anchoring));
  const waves = setInterval(() => void control.continueFleetRotation(), waveMs);
  stack.defer(() => clearInterval(waves));
  control.lookAtForeignCrls();
  const crls = setInterval(() => control.lookAtForeignCrls(), crlLookMs);
  stack.defer(() => clearInterval(crls));
  process.stdout.write(`ready ${JSON.stringify(await control.listen())}\n`);
  await stopped;
  return 0;
}

/** Listens on a socket that only our user can open. What lies at `path` is of a former process: we hold the lock. */
async function listen(server: Server, path: string): Promise<AsyncDisposable> {
  rmSync(path, { force: true });
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen(path, listening);
  });
  chmodSync(path, 0o600);
  return {
    [Symbol.asyncDispose]: async () => {
      server.close(); // takes the file away; open connections end with the process
    },
  };
}

/** Settles when a signal asks for the end, or when the supervisor that started us is gone. */
function untilStopped(): Promise<void> {
  return new Promise((stop) => {
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    const input = fstatSync(0);
    if (!input.isFIFO() && !input.isSocket()) return;
    process.stdin.on("end", stop);
    process.stdin.on("error", stop);
    process.stdin.resume();
  });
}
