import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { Commands } from "@wardmq/commands";
import { commands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { tokenChecks } from "@wardmq/tokens";
import type { Command } from "commander";
import { ask } from "../ask.ts";
import { count, group, type Json, print, printJson } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import { deploymentCommand, inDeployment } from "../deployment-command.ts";
import { readDescriptor } from "../descriptor.ts";
import { Failure, systemCode } from "../failure.ts";
import { parseTokens } from "../login/profile.ts";
import { readHere } from "../read-here.ts";
import { table } from "../table.ts";

export function addTokenCommands(program: Command): void {
  const token = group(
    program,
    "token",
    "look into and revoke access tokens",
    "wardmq token explain --help",
  );
  deploymentCommand(token, "explain", {
    summary: commands["token.explain"].summary,
    examples: [
      "wardmq token explain /srv/wardmq < token.txt",
      "wardmq token explain /srv/wardmq --file token.txt",
      "wardmq token explain /srv/wardmq --file ~/.config/wardmq/hospital.token.json",
    ],
  })
    .option(
      "--file <path>",
      "the file the token is in, alone or as wardmq login keeps it (default: standard input); never an argument",
    )
    .option("--api", "judge it as the API does, not as a broker")
    .option("--certificate <path>", "the certificate (PEM) it comes with, where it is bound to one")
    .option("--json", "print the checks as JSON")
    .action(async (words: string[], { json, api = false, ...from }: ExplainOptions) => {
      refuseTokenAsArgument(words);
      // Before the deployment's folder becomes the current one.
      const given = { token: readToken(from.file, api), api, ...fingerprintIn(from.certificate) };
      await inDeployment([], async () => {
        const checks = await explain(given);
        if (json) printJson(checks);
        else print(explanation(checks));
        const failed = checks.find(({ outcome }) => outcome === "failed");
        if (failed !== undefined) {
          throw new Failure(1, `the token is refused by ${failed.check}`, "see the lines above");
        }
        const unknown = checks.find(({ outcome }) => outcome === "unknown");
        if (unknown !== undefined) {
          const why = `whether the token passes ${unknown.check} is not known`;
          throw new Failure(1, why, "name the certificate it comes with: --certificate FILE");
        }
      })(words, {});
    });

  controlCommand<"token.revoke", { issuer?: string; jti?: string; sid?: string; subject?: string }>(
    token,
    "revoke",
    "token.revoke",
    {
      examples: [
        "wardmq token revoke /srv/wardmq --subject person:hospital_4f1c",
        "wardmq token revoke /srv/wardmq --issuer hospital --jti 9b2e",
      ],
      options: (command) =>
        command
          .option("--subject <id>", "a person or app, as events name it")
          .option("--issuer <name>", "the name of an issuer in issuers.yaml, with --jti or --sid")
          .option("--jti <id>", "the id of one token")
          .option("--sid <id>", "a session at the issuer"),
      arguments: (_, { subject, issuer, jti, sid }) => ({
        ...(subject === undefined ? {} : { subject }),
        ...(issuer === undefined ? {} : { issuer }),
        ...(jti === undefined ? {} : { jti }),
        ...(sid === undefined ? {} : { sid }),
      }),
      text: revocation,
      check: ({ unconfirmed = 0 }) => {
        if (unconfirmed === 0) return;
        throw new Failure(
          1,
          `${count(unconfirmed, "broker")} did not confirm within a second`,
          "the revocation stands; look at wardmq events, and end that broker if it does not follow",
        );
      },
    },
  );

  const bans = controlCommand(program, "bans", "bans", {
    examples: ["wardmq bans /srv/wardmq", "wardmq bans lift /srv/wardmq 'address 192.0.2.7'"],
    arguments: () => ({}),
    text: bansText,
    check: ({ unconfirmed = 0 }) => {
      if (unconfirmed === 0) return;
      throw new Failure(
        1,
        `${count(unconfirmed, "broker")} did not say what is banned there`,
        "ask again; wardmq bans lift reaches that broker all the same",
      );
    },
  });
  controlCommand(bans, "lift", "bans.lift", {
    operands: [["OF", "as wardmq bans shows it, in quotes: 'address 192.0.2.7'"]],
    examples: ["wardmq bans lift /srv/wardmq 'address 192.0.2.7'"],
    arguments: ([of = ""]) => ({ of }),
    text: ({ of }) => `tokens of ${of} are judged again`,
  });
}

function bansText({ bans, brokers, claimed }: Commands["bans"]["result"]): string {
  const time = (milliseconds: number) => new Date(milliseconds).toISOString();
  const parts: string[] = [];
  if (brokers === 0) parts.push("no broker has said what it bans: see that one runs");
  if (bans.length > 0) {
    const rows = bans.map(({ of, failures, until }) => [of, String(failures), time(until)]);
    parts.push(table(["OF", "REFUSED TOKENS", "UNTIL"], rows));
  } else if (brokers > 0) parts.push("nobody is banned");
  if (claimed.length > 0) {
    const rows = claimed.map(({ of, failures, at }) => [of, String(failures), time(at)]);
    parts.push(table(["SAID THEY WERE OF", "REFUSED TOKENS", "LAST"], rows));
  }
  return parts.join("\n\n");
}

interface ExplainOptions extends Json {
  readonly file?: string;
  readonly api?: boolean;
  readonly certificate?: string;
}

type Checks = Commands["token.explain"]["result"]["checks"];

/** What is too long for a token is not sent: nothing but its length is looked at. */
async function explain(given: Commands["token.explain"]["arguments"]): Promise<Checks> {
  const { size } = tokenChecks;
  const { passed, found } = size.look({ text: given.token });
  if (passed) return (await ask("token.explain", given)).checks;
  return [{ check: "size", outcome: "failed", found, expected: size.expected() }];
}

/** Everybody on the machine can read arguments. What is no folder may be a token, so it is not repeated. */
function refuseTokenAsArgument(words: readonly string[]): void {
  const [directory, ...more] = words;
  if (more.length === 0 && (directory === undefined || existsSync(`${directory}/.`))) return;
  throw new Failure(
    2,
    more.length === 0 ? "DIR is no folder" : "there is more than DIR",
    "a token is given on standard input or by --file, never as an argument",
  );
}

function fingerprintIn(path: string | undefined): { readonly fingerprint?: string } {
  if (path === undefined) return {};
  try {
    const { fingerprint256 } = new X509Certificate(readHere(path));
    return { fingerprint: fingerprint256.replaceAll(":", "").toLowerCase() };
  } catch (error) {
    if (error instanceof Failure) throw error;
    const why = `${printable(path, 1000)} holds no certificate in PEM`;
    throw new Failure(2, why, "name the file of the certificate that the token is bound to");
  }
}

function readToken(file: string | undefined, api: boolean): string {
  const what = file ?? "standard input";
  try {
    const bytes = file === undefined ? readDescriptor() : readFileSync(file);
    return tokenOf(bytes.toString("utf8").trim(), what, api);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(
      2,
      `cannot read ${printable(what, 1000)}: ${systemCode(error) ?? "unreadable"}`,
      "name a file that holds the token",
    );
  }
}

/** The token for brokers or the API, of what `wardmq login` keeps; any other text is the token. */
function tokenOf(text: string, file: string, api: boolean): string {
  if (!text.startsWith("{")) return text;
  const stored = parseTokens(text, file);
  const token = api ? stored.api : stored;
  if (token !== undefined) return token.accessToken;
  throw new Failure(
    2,
    `${printable(file, 1000)} has no token for the API yet`,
    "give a command with --url first",
  );
}

const signs = { passed: "ok  ", failed: "FAIL", unknown: "  - " } as const;

function explanation(checks: Checks): string {
  return checks
    .map(({ check, outcome, found, expected }) => {
      const what = outcome === "unknown" && found === "" ? "nothing to look at" : found;
      const wanted = outcome === "passed" ? "" : `; expected ${expected}`;
      return `${signs[outcome]} ${check.padEnd(10)} ${what}${wanted}`;
    })
    .join("\n");
}

function revocation({ brokers, unconfirmed = 0 }: Commands["token.revoke"]["result"]): string {
  const closed = brokers.map(
    ({ connectionsClosed, milliseconds }) =>
      `the broker closed ${count(connectionsClosed, "connection")} in ${milliseconds} ms`,
  );
  const none = "no broker runs here; one that starts refuses these tokens";
  return ["revoked the tokens", ...(brokers.length + unconfirmed === 0 ? [none] : closed)].join(
    "\n",
  );
}
