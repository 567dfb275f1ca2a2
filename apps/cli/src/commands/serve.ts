import { resolve } from "node:path";
import type { Command } from "commander";
import type { RuntimeName } from "../../bin/runtimes.mjs";
import { collect, print, report, runtimeOption, wholeNumber } from "../command-line.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { serve } from "../serve.ts";
import { takeSignals } from "../signals.ts";
import { up } from "../up/up.ts";

interface ServeOptions {
  readonly runtime?: RuntimeName;
  readonly mqtts?: number;
  readonly wss?: number;
  readonly est?: number;
  readonly api?: number;
  readonly set?: readonly string[];
  readonly verbose?: boolean;
}

const parsePort = wholeNumber(0, 65_535);

export function addServeCommands(program: Command): void {
  deploymentCommand(program, "serve", {
    summary:
      "run control and broker in the foreground; SIGTERM drains and ends, SIGHUP reads the files again",
    examples: [
      "wardmq serve /srv/wardmq",
      "wardmq serve ./try --runtime node --mqtts 18883 --wss 18884 --set limits.connections=50000",
      "kill -HUP $(cat /srv/wardmq/run/serve.pid)",
    ],
  })
    .addOption(runtimeOption())
    .option("--mqtts <port>", "the port of MQTT over TLS for this run", parsePort)
    .option("--wss <port>", "the port of MQTT over WebSocket for this run", parsePort)
    .option("--est <port>", "the port where devices enrol for this run", parsePort)
    .option("--api <port>", "the port of the API for this run", parsePort)
    .option("--set <key=value>", "any key of wardmq.yaml for this run; may be repeated", collect)
    .option("--verbose", "tell the process ids of control and broker")
    .action(inDeployment([], runServe));

  const upSummary = "run a simulated ward: demo deployment, broker, devices and a live table";
  program
    .command("up")
    .summary(upSummary)
    .description(upSummary)
    .argument("[DIR]", "where the demo deployment is, or is made", ".wardmq/demo")
    .addOption(runtimeOption())
    .addHelpText("after", "\nExamples:\n  wardmq up\n  wardmq up /tmp/ward --runtime node")
    .action(async (directory: string, { runtime }: { runtime?: RuntimeName }) => {
      process.exitCode = await up(resolve(directory), runtime, { print, report });
    });
}

async function runServe(
  _: readonly string[],
  options: ServeOptions,
  directory: string,
): Promise<void> {
  const { runtime, verbose = false, set = [] } = options;
  const overrides = [...set];
  for (const listener of ["mqtts", "wss", "est", "api"] as const) {
    const port = options[listener];
    if (port !== undefined) overrides.push(`listeners.${listener}.port=${port}`);
  }
  const signals = takeSignals(process.env);
  try {
    const serving = await serve(
      { directory, runtime, overrides, verbose, report, stderr: "inherit" },
      signals.stop,
    );
    if (typeof serving === "number") process.exitCode = serving;
    else {
      signals.onHangUp = serving.reload;
      print(serving.readyLine);
      process.exitCode = await serving.ended;
    }
  } finally {
    signals.close();
  }
}
