import type { ForeignCaSummary } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { type IdentifyingField, identifyingFields } from "@wardmq/x509";
import { type Command, Option } from "commander";
import { count, day, group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { Failure } from "../failure.ts";
import { placeHere, readHere } from "../read-here.ts";
import { table } from "../table.ts";
import { brokerLines, refuseUnconfirmed } from "./effect.ts";

interface Adding {
  readonly certificate: string;
  readonly crl: string;
  readonly field: IdentifyingField;
  readonly equals: "uuid" | "serial";
  readonly maker?: string;
  readonly site?: string;
}

export function addForeignCaCommands(program: Command): void {
  const operands = [["NAME", "the foreign CA"]] as const;
  const example = (rest: string) => [`wardmq foreign-ca ${rest}`];
  const add =
    "add /srv/wardmq acme-fleet --certificate acme-ca.pem --field common-name --equals serial --maker acme --crl http://pki.acme.example/devices.crl";
  const foreign = group(
    program,
    "foreign-ca",
    "other CAs whose certificates let devices in, with their CRLs",
    `wardmq foreign-ca ${add}`,
  );

  controlCommand<"foreign-ca.add", Adding>(foreign, "add", "foreign-ca.add", {
    operands: [["NAME", "what it is called here"]],
    examples: example(add),
    options: (command) =>
      command
        .requiredOption(
          "--certificate <file>",
          "the CA that signs the certificates of the devices, in PEM",
          readHere,
        )
        .requiredOption(
          "--crl <place>",
          "its CRL: a file on control's machine, or http(s)://...",
          placeHere,
        )
        .addOption(
          new Option("--field <field>", "what of a certificate says whose it is")
            .choices(Object.keys(identifyingFields))
            .makeOptionMandatory(),
        )
        .addOption(
          new Option("--equals <attribute>", "what of the record it is")
            .choices(["uuid", "serial"])
            .default("uuid"),
        )
        .option("--maker <maker>", "whose serial numbers they are, with --equals serial")
        .option("--site <site>", "devices of this site only"),
    arguments: ([name = ""], { certificate, crl, field, equals, maker, site }) => ({
      name,
      certificate,
      crl,
      mapping: mappingOf(field, equals, maker),
      ...(site === undefined ? {} : { site }),
    }),
    text: (ca) => `letting in who has a certificate of ${ca.name}\n${textOf(ca)}`,
  });

  controlCommand(foreign, "list", "foreign-ca.list", {
    examples: example("list /srv/wardmq"),
    arguments: () => ({}),
    json: ({ foreignCas }) => foreignCas,
    text: ({ foreignCas }) =>
      foreignCas.length === 0
        ? "no foreign CAs"
        : table(
            ["NAME", "SITE", "DEVICES", "CRL", "GOOD UNTIL", "CA"],
            foreignCas.map(({ name, site = "all", devices, crl, ca }) => [
              name,
              site,
              String(devices),
              crl.freshness,
              crl.nextUpdate === undefined ? "" : time(crl.nextUpdate),
              ca,
            ]),
          ),
  });

  controlCommand(foreign, "show", "foreign-ca.show", {
    operands,
    examples: example("show /srv/wardmq acme-fleet"),
    arguments: ([name = ""]) => ({ name }),
    text: textOf,
  });

  controlCommand(foreign, "refresh", "foreign-ca.refresh", {
    operands,
    examples: example("refresh /srv/wardmq acme-fleet"),
    arguments: ([name = ""]) => ({ name }),
    text: ({ foreignCa, ...effect }) => [textOf(foreignCa), ...brokerLines(effect)].join("\n"),
    check: refuseUnconfirmed,
  });

  controlCommand(foreign, "remove", "foreign-ca.remove", {
    operands,
    examples: example("remove /srv/wardmq acme-fleet"),
    arguments: ([name = ""]) => ({ name }),
    text: ({ foreignCa, ...effect }) =>
      [`trusting ${foreignCa.name} no more`, ...brokerLines(effect)].join("\n"),
    check: refuseUnconfirmed,
  });
}

function mappingOf(field: IdentifyingField, equals: "uuid" | "serial", maker?: string) {
  if (equals === "uuid" && maker === undefined) return { field, equals };
  if (equals === "serial" && maker !== undefined) return { field, equals, maker };
  const message = "--maker belongs to --equals serial, and that to it";
  throw new Failure(2, message, "name the maker whose serial numbers the certificates have");
}

function textOf({ ca, fingerprint, notAfter, site, mapping, devices, crl }: ForeignCaSummary) {
  const { field, equals } = mapping;
  const whose = "maker" in mapping ? `serial number of a device of ${mapping.maker}` : equals;
  return [
    `CA ${ca}, good until ${day(notAfter)}, ${fingerprint} (SHA-256)`,
    `for ${site === undefined ? "every site" : `the site ${site}`}: ${identifyingFields[field]} is the ${printable(whose, 200)}`,
    `${count(devices, "device")} came with a certificate of it`,
    `CRL ${printable(crl.source, 500)}: ${crlText(crl)}`,
    ...(crl.failure === undefined
      ? []
      : [`the last reading failed: ${printable(crl.failure, 200)}`]),
  ].join("\n");
}

/** The state of a CRL that is not ours. */
function crlText({ freshness, nextUpdate, crlNumber, revoked = 0 }: ForeignCaSummary["crl"]) {
  if (nextUpdate === undefined) return "none was read yet";
  const number = crlNumber === undefined ? "" : `number ${crlNumber}, `;
  return `${freshness}, ${number}good until ${time(nextUpdate)}, ${count(revoked, "certificate")} revoked`;
}

function time(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
