/** What the outside asks of a program in the foreground. */
export interface Signals {
  /** Aborted by SIGINT, by SIGTERM, or when the launcher (bin/wardmq.mjs) was killed. */
  readonly stop: AbortSignal;
  /** What SIGHUP does; nothing until it is set. */
  onHangUp: () => void;
  /** Lets the program end. */
  close(): void;
}

const launcherCheckMs = 1_000;

/** Takes over the signals of this process; a second Ctrl-C changes nothing, as everything is ending already. */
export function takeSignals(environment: NodeJS.ProcessEnv): Signals {
  const stop = new AbortController();
  const end = () => stop.abort();
  const hangUp = () => signals.onHangUp();
  const launcher = Number(environment["WARDMQ_LAUNCHER"]);
  const timer = setInterval(() => {
    if (launcher > 0 && process.ppid !== launcher) end();
  }, launcherCheckMs);
  process.on("SIGINT", end).on("SIGTERM", end).on("SIGHUP", hangUp);
  const signals: Signals = {
    stop: stop.signal,
    onHangUp: () => {},
    close: () => {
      clearInterval(timer);
      process.off("SIGINT", end).off("SIGTERM", end).off("SIGHUP", hangUp);
    },
  };
  return signals;
}
