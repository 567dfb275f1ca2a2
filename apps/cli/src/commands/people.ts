import { printable } from "@wardmq/events";
import { type Command, InvalidArgumentError } from "commander";
import type { MqttClient } from "mqtt";
import { print, report, wholeNumber } from "../command-line.ts";
import { readDescriptor } from "../descriptor.ts";
import { type Answer, describeDisconnect, explainRefusal } from "../login/broker-answer.ts";
import { connectAsPerson } from "../login/client.ts";
import { IdentityProvider } from "../login/identity-provider.ts";
import { whileLocked } from "../login/lock.ts";
import { demoProfile, readProfile, tokensPath, writeTokens } from "../login/profile.ts";

interface WithProfile {
  readonly profile: string;
}

const profileOption = [
  "--profile <path>",
  "where to log in and connect to (docs/tokens.md)",
  demoProfile,
] as const;

/** MQTT.js waits for ever with an empty one. */
function notEmpty(text: string): string {
  if (text !== "") return text;
  throw new InvalidArgumentError("write at least one character");
}

export function addPeopleCommands(program: Command): void {
  withExamples(program.command("login"), [
    "wardmq login",
    "wardmq login --device --profile ~/.config/wardmq/hospital.json",
  ])
    .summary("log in at the identity provider; the token is kept in a file for you only")
    .description(
      "log in at the identity provider, whose address is printed for a browser of this machine; the token is kept in a file beside the profile, for you only. A browser warns of the certificate of the demo's identity provider, which it does not know.",
    )
    .option(...profileOption)
    .option("--device", "log in on another machine, with a code that is shown here")
    .action(async ({ profile: path, device }: WithProfile & { device?: boolean }) => {
      const profile = readProfile(path);
      const file = tokensPath(path);
      await whileLocked(file, async () => {}); // where nothing can be written, nobody logs in for nothing
      const provider = await IdentityProvider.discover(profile);
      const tokens = device
        ? await provider.logInByDevice((url, code) =>
            print(`open ${printable(url, 1000)} and enter ${printable(code, 40)}`),
          )
        : await provider.logInByBrowser((url) =>
            print(`open in a browser of this machine:\n${url}`),
          );
      await whileLocked(file, async () => writeTokens(path, profile, tokens));
      print(`logged in until ${new Date(tokens.expiresAt).toISOString()}`);
    });

  withExamples(program.command("sub"), ["wardmq sub 'demo-hospital/+/icu/device/+/alarm'"])
    .summary("print the messages of a topic filter, as the person who is logged in")
    .description("print the messages of a topic filter, as the person who is logged in")
    .argument("<filter>", "a topic filter", notEmpty)
    .option(...profileOption)
    .option("--count <n>", "end after so many messages", wholeNumber(1, 1_000_000_000))
    .action(async (filter: string, { profile, count }: WithProfile & { count?: number }) => {
      const client = await connectAsPerson(profile, report);
      client.on("disconnect", (packet) => report(describeDisconnect(packet)));
      let left = count ?? Number.POSITIVE_INFINITY;
      const subscribe = () =>
        client.subscribeAsync(filter, { qos: 1 }).catch((error) => {
          throw explainRefusal("subscribe", filter, subackOf(error) ?? printable(error.message));
        });
      const done = new Promise<void>((resolve, reject) => {
        client.on("message", (topic, payload) => {
          if (left <= 0) return;
          left -= 1;
          print(`${printable(topic, 1_024)} ${onOneLine(payload.toString("utf8"))}`);
          if (left <= 0) resolve();
        });
        // A session that has come again may have fewer rights; one that is lost meanwhile comes again.
        client.on(
          "connect",
          () => void subscribe().catch((why) => client.connected && reject(why)),
        );
        process.once("SIGINT", () => resolve());
        process.once("SIGTERM", () => resolve());
        process.stdout.once("error", () => resolve()); // nobody reads on: `| head -1`
      });
      try {
        await subscribe();
        await done;
      } finally {
        await client.endAsync();
      }
    });

  withExamples(program.command("pub"), [
    "echo 'bed 4 is free' | wardmq pub demo-hospital/notes/icu",
  ])
    .summary("publish what standard input says, as the person who is logged in")
    .description("publish what standard input says, as the person who is logged in")
    .argument("<topic>", "a topic", notEmpty)
    .option(...profileOption)
    .action(async (topic: string, { profile }: WithProfile) => {
      const payload = readDescriptor();
      const client = await connectAsPerson(profile, report);
      try {
        await published(client, topic, payload);
        await client.endAsync();
      } catch (error) {
        client.end(true); // what was not taken would be sent again
        throw error;
      }
    });
}

/** Settles when the broker has taken the message; rejects where it refused it, ended the connection for it, or is silent. */
export function published(
  client: MqttClient,
  topic: string,
  payload: Buffer,
  patienceMs = 20_000,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const refused = (answer: Answer | string) => {
      clearTimeout(timer);
      reject(explainRefusal("publish", topic, answer));
    };
    const timer = setTimeout(() => refused("no answer in time"), patienceMs);
    client.on("disconnect", (packet) => refused(describeDisconnect(packet)));
    client.publish(topic, payload, { qos: 1 }, (error, packet) => {
      if (error != null) return refused((packet as Answer | undefined) ?? printable(error.message));
      clearTimeout(timer);
      resolve();
    });
  });
}

/** The answer that MQTT.js hands on in its error, with the one code of the one filter. */
function subackOf(error: unknown): Answer | undefined {
  const { packet } = Object(error) as { packet?: Answer & { granted?: readonly number[] } };
  return packet && { ...packet, reasonCode: packet.granted?.[0] };
}

/** Text of others as a terminal may have it: no control characters, line ends or marks that turn its direction. */
function onOneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}

function withExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText(
    "after",
    `\nExamples:\n${examples.map((one) => `  ${one}`).join("\n")}`,
  );
}
