import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findRuntime } from "../../bin/runtimes.mjs";
import { host, org } from "./plan.ts";

const modules = fileURLToPath(new URL("../../../../node_modules", import.meta.url));
const topic = `${org}/+/+/device/+/telemetry`;

/** How to connect a client of one's own: commands that work from any folder, and a line before them. */
export function connectLines(credentialFolder: string, port: number): readonly string[] {
  const inFolder = (...words: readonly string[]) =>
    `(cd ${quote(credentialFolder)} && ${words.join(" ")})`;
  const files = ["--cafile ca.pem", "--cert cert.pem", "--key key.pem"];
  const profile = quote(join(dirname(credentialFolder), "login.json"));
  const mosquitto = inFolder(
    `mosquitto_sub -h ${host} -p ${port}`,
    ...files,
    `-t ${quote(topic)} -v`,
  );
  const mqttJs = inFolder(
    `NODE_PATH=${quote(modules)}`,
    quote(nodeCommand()),
    "-e",
    quote(script(port)),
  );
  return [
    "connect your own client from another terminal, with mosquitto_sub or MQTT.js:",
    mosquitto,
    mqttJs,
    "or as a person: log in as nurse with any password (DEMO identity provider), then read the ward's alarms:",
    `npx wardmq login --profile ${profile}`,
    `npx wardmq sub '${org}/+/icu/device/+/alarm' --profile ${profile}`,
  ];
}

function script(port: number): string {
  const files = ["key", "cert", "ca"].map((name) => `${name}: read("${name}.pem")`).join(", ");
  return [
    `const read = require("fs").readFileSync`,
    `const client = require("mqtt").connect("mqtts://${host}:${port}", { ${files} })`,
    `client.subscribe("${topic}").on("message", (topic, text) => console.log(topic, String(text)))`,
  ].join("; ");
}

/** The bundled Node, or Bun: the machine's own Node may be too old for MQTT.js. */
function nodeCommand(): string {
  const linked = join(modules, ".bin/node");
  if (existsSync(linked)) return linked;
  return (findRuntime("node") ?? findRuntime("bun"))?.command ?? "node";
}

/** A word for a POSIX shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
