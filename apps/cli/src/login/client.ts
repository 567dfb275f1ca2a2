import { connectWithToken } from "@wardmq/mqtt-js";
import mqtt, { type MqttClient } from "mqtt";
import type { Failure } from "../failure.ts";
import { type Answer, explainNoConnection, explainNoRenewal } from "./broker-answer.ts";
import { tokensOf } from "./fresh-token.ts";
import { readProfile, tokensPath } from "./profile.ts";

const patienceMs = 20_000;

/**
 * An MQTT client of the person who is logged in; rejects where the first connection is refused. `report` hears what
 * goes wrong later, while it tries again.
 */
export async function connectAsPerson(
  profilePath: string,
  report: (line: string) => void,
): Promise<MqttClient> {
  const { broker, brokerCa: ca } = readProfile(profilePath);
  let connack: Answer | undefined;
  let problem: Failure | undefined;
  let hasConnected = false;
  const noConnection = (error?: Error) =>
    explainNoConnection(error, connack, broker, tokensPath(profilePath));
  const onTroubles = (error?: Error) => {
    const isRenewal = hasConnected && client.connected && error !== undefined;
    const failure = isRenewal ? explainNoRenewal(error) : noConnection(error);
    if (hasConnected) report(`${failure.message} (trying again); ${failure.hint}`);
    else problem ??= failure;
  };
  const client = await connectWithToken({
    connect: mqtt.connect,
    url: broker,
    fetchToken: tokensOf(profilePath, () => hasConnected && client.connected),
    options: { ...(ca === undefined ? {} : { ca }) },
    onTroubles,
  });
  client.on("packetreceive", (packet) => {
    if (packet.cmd === "connack") connack = packet; // the error that follows has no Reason String
  });
  client.on("close", () => {
    if (!hasConnected) onTroubles();
  });
  const deadline = Date.now() + patienceMs;
  while (!client.connected && problem === undefined && Date.now() < deadline) {
    await new Promise((wake) => setTimeout(wake, 20));
  }
  hasConnected = client.connected;
  if (hasConnected) return client;
  client.end(true);
  throw problem ?? noConnection(new Error("no answer in time"));
}
