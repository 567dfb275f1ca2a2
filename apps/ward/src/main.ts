/** The simulated ward of `npm start`: `main.ts DIR` reads `DIR/demo/ward.json`. */

import { frame } from "./frame.ts";
import { alarmLine, summaryLine } from "./plain.ts";
import { Screen } from "./screen.ts";
import { type RunningWard, startWard } from "./ward.ts";
import { readWard, type Ward, WardFileError } from "./ward-file.ts";

const redrawMs = 500;
const plainLineMs = 5_000;
const giveUpAfterSeconds = 30;
const closeWithinMs = 1_500;
const controlL = "\u000c";
const controlC = "\u0003"; // a terminal in raw mode sends the character, not the signal

const isTerminal =
  process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";

const [directory, ...more] = process.argv.slice(2);
if (directory === undefined || more.length > 0)
  fail("usage: main.ts DIR, a deployment with a demo in it");
run(open(directory));

function open(path: string): Ward {
  try {
    return readWard(path);
  } catch (error) {
    if (error instanceof WardFileError) fail(error.message);
    throw error;
  }
}

function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(2);
}

function run(ward: Ward): void {
  const running = startWard(ward, (origin, reading) => {
    if (!isTerminal) process.stdout.write(`${alarmLine(origin, reading)}\n`);
  });
  const stopShowing = isTerminal ? showScreen(ward, running, end) : showLines(ward, running);
  let isEnding = false;

  async function end(exitCode: number, sentence?: string): Promise<void> {
    if (isEnding) return;
    isEnding = true;
    stopShowing();
    if (sentence !== undefined) process.stderr.write(`${sentence}\n`);
    setTimeout(() => process.exit(exitCode), closeWithinMs);
    await running.close();
    process.exit(exitCode);
  }

  endWithParent(() => void end(0));
  let unreachedSeconds = 0;
  setInterval(() => {
    unreachedSeconds = running.isReached() ? 0 : unreachedSeconds + 1;
    if (unreachedSeconds < giveUpAfterSeconds) return;
    const { link } = running.board.view(running.now());
    const why = link.is === "waiting" ? `: ${link.why}` : "";
    void end(
      1,
      `the broker at ${ward.host}:${ward.port} could not be reached for ${giveUpAfterSeconds} s${why}`,
    );
  }, 1_000);
}

/** Signals, a terminal that goes away, a reader that goes away, and a parent that died without a signal. */
function endWithParent(end: () => void): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  process.stdout.on("error", end);
  if (process.stdin.isTTY) process.stdin.on("end", end).on("error", end).resume();
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) end();
  }, 1_000);
}

function showScreen(ward: Ward, running: RunningWard, end: (exitCode: number) => void): () => void {
  const screen = new Screen((text) => void process.stdout.write(text));
  let page: "ward" | "connect" = "ward";
  const draw = () => {
    const size = { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 };
    screen.draw(frame(running.board.view(running.now()), ward.connect, size, page), size);
  };
  const onKeys = (keys: Buffer) => {
    const pressed = (...codes: readonly string[]) => codes.some((code) => keys.includes(code));
    if (pressed("q", "Q", controlC)) return end(0);
    if (pressed("c", "C")) page = page === "ward" ? "connect" : "ward";
    if (pressed(controlL)) screen.refresh();
    draw();
  };
  if (process.stdin.isTTY) process.stdin.setRawMode(true).on("data", onKeys);
  process.stdout.on("resize", draw);
  const timer = setInterval(draw, redrawMs);
  const restore = () => {
    process.off("exit", restore);
    process.stdout.off("resize", draw);
    clearInterval(timer);
    screen.close();
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
  };
  process.on("exit", restore); // also when something of ours fails
  draw();
  return restore;
}

function showLines(ward: Ward, running: RunningWard): () => void {
  let lines = 0;
  let isConnectShown = false;
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(`ward: ${ward.devices.length} devices and a dashboard connect to ${ward.host}:${ward.port}`);
  const timer = setInterval(() => {
    const view = running.board.view(running.now());
    say(summaryLine(view, lines));
    lines += 1;
    if (isConnectShown || view.link.is !== "open") return;
    isConnectShown = true;
    for (const line of ward.connect) say(line);
  }, plainLineMs);
  return () => clearInterval(timer);
}
