// npm starts its programs through a shell, and when npm is ended the shell dies without a word to the program.

/** Calls `body` when npm started this process and has ended; other parents may go, as with nohup. */
export function whenOrphaned(body) {
  if (!process.env.npm_command) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    body();
  }, 500);
  timer.unref();
}
