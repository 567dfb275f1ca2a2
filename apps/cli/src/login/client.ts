import { connectWithToken } from "@wardmq/mqtt-js";
import mqtt, { type MqttClient } from "mqtt";
import { Failure } from "../failure.ts";
import { freshToken } from "./fresh-token.ts";
import { besideProfile, readProfile } from "./profile.ts";

const patienceMs = 20_000;

/** An MQTT client of the person who is logged in; rejects where the first connection is refused. */
export async function connectAsPerson(
  profilePath: string,
  report: (line: string) => void,
): Promise<MqttClient> {
  const profile = readProfile(profilePath);
  const ca = besideProfile(profilePath, profile.brokerCa);
  let problem: Error | undefined;
  const client = await connectWithToken({
    connect: mqtt.connect,
    url: profile.broker,
    fetchToken: () => freshToken(profilePath, "broker"),
    options: { ...(ca === undefined ? {} : { ca }) },
    onTroubles: (error) => {
      if (problem === undefined) problem = error;
      else report(error.message);
    },
  });
  const deadline = Date.now() + patienceMs;
  while (!client.connected && problem === undefined && Date.now() < deadline) {
    await new Promise((wake) => setTimeout(wake, 20));
  }
  if (client.connected) return client;
  client.end(true);
  const why = problem?.message ?? "it did not answer in time";
  throw new Failure(
    1,
    `the broker let nobody in: ${why}`,
    "run wardmq login again, or wardmq token explain",
  );
}
