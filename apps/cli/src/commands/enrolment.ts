import type { Command } from "commander";
import { day, group, wholeNumber } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { placeHere, readHere } from "../read-here.ts";
import { table } from "../table.ts";

/** `device` is the group that commands/subjects.ts made. */
export function addEnrolmentCommands(program: Command, device: Command): void {
  controlCommand<"device.code", { validMinutes?: number }>(device, "code", "device.code", {
    operands: [["SUBJECT", "device:UUID"]],
    examples: ["wardmq device code /srv/wardmq device:6b0d6a3e-9f7c-4d2a-8f7e-2f0c1d9a4b55"],
    options: (command) =>
      command.option(
        "--valid-minutes <n>",
        "how long it is good for (default: 60)",
        wholeNumber(1, 10_080),
      ),
    arguments: ([subject = ""], { validMinutes }) => ({
      subject,
      ...(validMinutes === undefined ? {} : { validMinutes }),
    }),
    text: ({ code, expiresAt }) => `${code}\ngood once, until ${new Date(expiresAt).toISOString()}`,
  });

  const manufacturer = group(
    program,
    "manufacturer",
    "makers whose certificates let a device enrol",
    "wardmq manufacturer add /srv/wardmq acme --certificate acme-idevid-ca.pem",
  );
  controlCommand<"manufacturer.add", { certificate: string; crl?: string }>(
    manufacturer,
    "add",
    "manufacturer.add",
    {
      operands: [["NAME", "the maker, as `device add --maker` has it"]],
      examples: ["wardmq manufacturer add /srv/wardmq acme --certificate acme-idevid-ca.pem"],
      options: (command) =>
        command
          .requiredOption(
            "--certificate <file>",
            "the CA that signs the maker's device identities, in PEM",
            readHere,
          )
          .option(
            "--crl <place>",
            "its CRL, if it has one: a file on control's machine, or http(s)://...",
            placeHere,
          ),
      arguments: ([name = ""], { certificate, crl }) => ({
        name,
        certificate,
        ...(crl === undefined ? {} : { crl }),
      }),
      text: ({ name, fingerprint }) => `trusting ${name}, ${fingerprint} (SHA-256)`,
    },
  );
  controlCommand(manufacturer, "list", "manufacturer.list", {
    examples: ["wardmq manufacturer list /srv/wardmq"],
    arguments: () => ({}),
    json: ({ manufacturers }) => manufacturers,
    text: ({ manufacturers }) =>
      manufacturers.length === 0
        ? "no manufacturers yet"
        : table(
            ["NAME", "UNTIL", "CRL", "SHA-256"],
            manufacturers.map(({ name, notAfter, fingerprint, crl }) => [
              name,
              day(notAfter),
              crl?.freshness ?? "none",
              fingerprint,
            ]),
          ),
  });
  controlCommand(manufacturer, "remove", "manufacturer.remove", {
    operands: [["NAME", "the maker"]],
    examples: ["wardmq manufacturer remove /srv/wardmq acme"],
    arguments: ([name = ""]) => ({ name }),
    text: ({ name }) => `trusting ${name} no more`,
  });
}
