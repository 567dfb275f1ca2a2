import { printable } from "@wardmq/events";
import { Command } from "commander";
import { addBackupCommands } from "./commands/backup.ts";
import { addBreakGlassCommands } from "./commands/break-glass.ts";
import { addCaCommands, addRotationCommands } from "./commands/ca.ts";
import { addCertificateCommands } from "./commands/certificates.ts";
import { addDeploymentCommands } from "./commands/deployment.ts";
import { addEnrollCommand } from "./commands/enroll.ts";
import { addEnrolmentCommands } from "./commands/enrolment.ts";
import { addEventCommands } from "./commands/events.ts";
import { addForeignCaCommands } from "./commands/foreign-cas.ts";
import { addKeysCommands } from "./commands/keys.ts";
import { addOperatorCommands } from "./commands/operators.ts";
import { addPeopleCommands } from "./commands/people.ts";
import { addPolicyCommands } from "./commands/policy.ts";
import { addRegistryCommands } from "./commands/registry.ts";
import { addServeCommands } from "./commands/serve.ts";
import { addStateCommands } from "./commands/state.ts";
import { addSubjectCommands } from "./commands/subjects.ts";
import { addTokenCommands } from "./commands/tokens.ts";

/** The command `wardmq` and everything below it. */
export const program = new Command("wardmq")
  .description(
    "an MQTT broker with its own device PKI and policy, for hospitals and makers of medical devices",
  )
  .version("0.1.0")
  .helpCommand(false)
  .configureHelp({ subcommandTerm: (command) => `${command.name()} ${command.usage()}` })
  .exitOverride()
  .showHelpAfterError("wardmq: add --help for what can be written")
  .configureOutput({
    outputError: (text, write) => {
      for (const line of text.split("\n").filter((part) => part !== "")) {
        write(`${printable(line.replace(/^error: /, "wardmq: "), 500)}\n`);
      }
    },
  })
  .addHelpText(
    "after",
    `
DIR is the folder of a deployment; it may be left out where WARDMQ_DIR is set.
Exit codes: 0 done, 1 refused or failed, 2 wrong input or configuration.

Examples:
  wardmq up                                            a simulated ward to look at
  wardmq init /srv/wardmq --org hospital-1 --host mqtt.hospital-1.example
  wardmq serve /srv/wardmq
  wardmq device add --help`,
  );

addDeploymentCommands(program);
addServeCommands(program);
const device = addSubjectCommands(program);
addEnrolmentCommands(program, device);
addEnrollCommand(device);
addRegistryCommands(program, device);
addCertificateCommands(program);
addForeignCaCommands(program);
addCaCommands(program);
addRotationCommands(program);
addOperatorCommands(program);
addBreakGlassCommands(program);
addPolicyCommands(program);
addEventCommands(program);
addStateCommands(program);
addTokenCommands(program);
addPeopleCommands(program);
addKeysCommands(program);
addBackupCommands(program);
