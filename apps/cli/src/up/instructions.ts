import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findRuntime } from "../../bin/runtimes.mjs";
import { host, org } from "./plan.ts";

const repository = fileURLToPath(new URL("../../../..", import.meta.url));

/** How to connect a client of one's own: lines of ASCII; the commands work from any folder. */
export function connectLines(credentialFolder: string, port: number): readonly string[] {
  const [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map((file) =>
    join(credentialFolder, file),
  );
  const topic = `${org}/+/+/device/+/telemetry`;
  const mosquitto = [
    ["mosquitto_sub", "-h", host, "-p", String(port)],
    ["--cafile", ca ?? "", "--cert", cert ?? "", "--key", key ?? "", "-t", topic, "-v"],
  ];
  return [
    "connect your own client from another terminal:",
    mosquitto.flat().map(quote).join(" "),
    `cd ${quote(repository)} && ${quote(nodeCommand())} -e ${quote(mqttJs({ key, cert, ca }, port, topic))}`,
  ];
}

function mqttJs(
  files: Readonly<Record<string, string | undefined>>,
  port: number,
  topic: string,
): string {
  const read = Object.entries(files).map(
    ([name, path]) => `${name}: fs.readFileSync(${JSON.stringify(path)})`,
  );
  const client = `require("mqtt").connect("mqtts://${host}:${port}", { protocolVersion: 5, ${read.join(", ")} })`;
  return `const c = ${client}; c.on("connect", () => c.subscribe("${topic}")); c.on("message", (t, m) => console.log(t, String(m))); c.on("error", console.error)`;
}

/** The bundled Node, or Bun: the machine's own Node may be too old for MQTT.js. */
function nodeCommand(): string {
  return (findRuntime("node") ?? findRuntime("bun"))?.command ?? "node";
}

/** A word for a POSIX shell. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
