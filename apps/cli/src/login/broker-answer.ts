import { printable } from "@wardmq/events";
import mqtt from "mqtt";
import { Failure, systemCode } from "../failure.ts";

/** The parts of a packet that say why something was refused. */
export interface Answer {
  readonly reasonCode?: number | undefined;
  readonly properties?: { readonly reasonString?: string } | undefined;
}

const notAuthorized = 0x87;
const firstRefusal = 0x80;
const seeEvents = "wardmq events DIR names the subject and the reason";

/** As the specification names the Reason Code, with its number and the Reason String, if there is one. */
function describeAnswer({ reasonCode = 0, properties }: Answer): string {
  const names: Readonly<Record<number, string>> = mqtt.ReasonCodes;
  const code = `0x${reasonCode.toString(16).padStart(2, "0")}`;
  const { reasonString } = properties ?? {};
  const why = reasonString === undefined ? "" : `, "${printable(reasonString, 200)}"`;
  return `${names[reasonCode] || "Reason Code"} (${code})${why}`;
}

/** What a DISCONNECT of the broker says. */
export function describeDisconnect(packet: Answer): string {
  return `the broker ended the connection: ${describeAnswer(packet)}`;
}

/**
 * Why there is no connection: what the broker said in `connack` to the token in `tokensFile`, else what the network or
 * TLS said of `url`. Without an error it was closed without a word.
 */
export function explainNoConnection(
  error: Error | undefined,
  connack: Answer | undefined,
  url: string,
  tokensFile: string,
): Failure {
  if (error instanceof Failure) return error;
  const isRefused = connack?.reasonCode !== undefined && connack.reasonCode >= firstRefusal;
  if (isRefused && typeof Object(error).code === "number") return refused(connack, tokensFile);
  const { host, hostname } = new URL(url);
  const code = systemCode(error);
  const fault =
    error === undefined ? endedEarly : faults.find(({ codes }) => codes.test(code ?? ""));
  if (fault !== undefined) {
    const shown = code === undefined ? "" : ` (${code})`;
    return new Failure(1, `${fault.what(host, hostname)}${shown}`, fault.hint);
  }
  const why = printable(error?.message ?? "", 200);
  return new Failure(1, `no connection to ${host}: ${why}`, "see that the broker runs");
}

function refused(connack: Answer, tokensFile: string): Failure {
  const said = `the broker refused the connection: ${describeAnswer(connack)}`;
  if (connack.reasonCode !== notAuthorized) return new Failure(1, said, seeEvents);
  const file = printable(tokensFile, 1000);
  const explain = `wardmq token explain DIR --file ${file} says which check of it failed`;
  const bans = "wardmq bans DIR whether your address is banned";
  return new Failure(1, said, `run wardmq login again; ${explain}, ${bans}`);
}

/** What is wrong with a connection that is there: the next token could not be had, or the broker did not take it. */
export function explainNoRenewal(error: Error): Failure {
  if (error instanceof Failure) return error;
  const why = printable(error.message, 200);
  return new Failure(1, `the broker did not take the next token: ${why}`, seeEvents);
}

interface Fault {
  readonly codes: RegExp;
  readonly what: (host: string, hostname: string) => string;
  readonly hint: string;
}

const endedEarly: Fault = {
  codes: /^(ECONNRESET|EPIPE|EPROTO|ERR_SSL_\w+|ERR_TLS_\w+)$/,
  what: (host) => `${host} ended the connection before MQTT began`,
  hint: "broker in the profile has to be a listener for tokens, such as wss://HOST:8885/mqtt; wardmq events DIR has the reason",
};

/** By the code of the error; the first row counts. */
const faults: readonly Fault[] = [
  {
    codes: /^(ENOTFOUND|EAI_\w+)$/,
    what: (_, hostname) => `the host ${hostname} is unknown`,
    hint: "correct broker in the profile",
  },
  {
    codes: /^ECONNREFUSED$/,
    what: (host) => `nothing listens at ${host}`,
    hint: "see that the broker runs with listeners.tokenWss open, and that broker in the profile is its address",
  },
  {
    codes: /^(ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)$/,
    what: (host) => `${host} can not be reached`,
    hint: "see to the network between here and there",
  },
  {
    codes: /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    what: (_, hostname) => `the certificate of the broker is not for ${hostname}`,
    hint: "write a name of hosts (wardmq.yaml) in broker of the profile",
  },
  {
    codes: /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_)/,
    what: (host) => `the certificate of ${host} is not trusted`,
    hint: "brokerCa in the profile names the file of the deployment's root CA",
  },
  endedEarly,
];

/** Why the broker did not do what was asked for: its answer, or a text that says it. */
export function explainRefusal(
  action: "publish" | "subscribe",
  topic: string,
  answer: Answer | string,
): Failure {
  const shown = printable(topic, 1_024);
  const what = `${action} to ${shown}`;
  if (typeof answer === "string") return new Failure(1, `cannot ${what}: ${answer}`, "");
  const said = describeAnswer(answer);
  if (answer.reasonCode !== notAuthorized) {
    return new Failure(1, `cannot ${what}: ${said}`, seeEvents);
  }
  const explain = `wardmq policy explain DIR SUBJECT ${action} '${shown}'`;
  const token = "--claim groups=nurses and --attribute ward=icu-3 tell it what the token says";
  const hint = `${explain} says why; ${token}; ${seeEvents}`;
  return new Failure(1, `not allowed to ${what}: ${said}`, hint);
}
