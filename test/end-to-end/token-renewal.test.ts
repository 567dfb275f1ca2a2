import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { connectWithToken } from "@wardmq/mqtt-js";
import mqtt, { type MqttClient } from "mqtt";
import { startDeployment } from "../support/deployment.ts";
import { claimsText, issuersText, startTestProvider } from "../support/identity-provider.ts";

/** Long enough to renew in time on a busy machine, short enough to wait for its end. */
const lifeSeconds = 20;
const provider = await startTestProvider({ lifeSeconds });
const deployment = await startDeployment({
  policy: `
topics: { schema: off }
roles:
  tester: { publish: ["#"], subscribe: ["#"] }
  nurse: { publish: ["hospital/notes"], subscribe: ["hospital/notes"] }
  doctor: { subscribe: ["hospital/#"] }
bindings:
  - { role: tester, to: "service:tester" }
${claimsText}`,
  devices: 0,
  services: ["tester"],
  files: { "issuers.yaml": issuersText(provider, "idp.pem"), "idp.pem": provider.ca },
  settings: { "listeners.tokenWss.accept": "token" },
});
const clients: MqttClient[] = [];
after(async () => {
  await Promise.all(clients.map((client) => client.endAsync(true)));
  await deployment.stop();
  await provider[Symbol.asyncDispose]();
});
const { ca } = deployment.credential("tester");
const url = `wss://localhost:${deployment.listener("tokenWss").port}/mqtt`;

/** A client with what has become of its connection and its tokens. */
class Session {
  readonly client: MqttClient;
  /** The end of the first token it was connected with, by the clock of who issues and who judges. */
  readonly firstEndsAt = Date.now() + lifeSeconds * 1000;
  /** How many tokens were fetched for it. */
  readonly fetched: () => number;
  closes = 0;

  constructor(client: MqttClient, fetched: () => number) {
    clients.push(client);
    this.client = client;
    this.fetched = fetched;
    client.on("close", () => {
      this.closes += 1;
    });
  }

  /** Whether it may do what it could before, a little later than its first token allows. */
  async goesOnAfterItsFirstToken(): Promise<void> {
    await until("the first token has ended", () => Date.now() > this.firstEndsAt + 2_000);
    await until("there is a connection", () => this.client.connected);
    await this.client.publishAsync("hospital/notes", "bed 4", { qos: 1 });
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 400; tries += 1) {
    if (holds()) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`did not happen: ${what}`);
}

/** A session of `clientId` that gets the tokens of these accounts in turn, and of the last one ever after. */
async function sessionOf(
  clientId: string,
  protocolVersion: 4 | 5,
  accounts: readonly string[],
  onTroubles: (error: Error) => void = () => {},
): Promise<Session> {
  let fetched = 0;
  const client = await connectWithToken({
    connect: mqtt.connect,
    url,
    fetchToken: async () => {
      const account = accounts[Math.min(fetched, accounts.length - 1)] ?? "";
      fetched += 1;
      return (await provider.logIn(account)).access_token;
    },
    options: { ca, clientId, protocolVersion },
    onTroubles,
  });
  await until("the client is connected", () => client.connected);
  return new Session(client, () => fetched);
}

// The broker has the keys of the provider once this one is connected. All wait for the end of their tokens together.
await sessionOf("first", 5, ["nurse"]);
const renewed = {
  "5.0": await sessionOf("renewed-5", 5, ["nurse"]),
  "3.1.1": await sessionOf("renewed-4", 4, ["nurse"]),
};
/** Another's token is good, and refused to whom it does not belong. */
const withAnothers = ["nurse", "doctor", "nurse"];
const troubles: string[] = [];
const refused = {
  "5.0": await sessionOf("refused-5", 5, withAnothers, ({ message }) => troubles.push(message)),
  "3.1.1": await sessionOf("refused-4", 4, withAnothers),
};

describe("a session with MQTT.js", () => {
  for (const version of ["5.0", "3.1.1"] as const) {
    test(`lives on past the end of its first token on ${version}`, async () => {
      const { [version]: session } = renewed;
      await session.goesOnAfterItsFirstToken();
      assert.equal(session.closes, 0);
      assert.ok(session.fetched() > 1);
    });
  }

  test("lives on past a renewal that is refused on 5.0, with one that is not", async () => {
    const { "5.0": session } = refused;
    await session.goesOnAfterItsFirstToken();
    assert.equal(session.closes, 0);
    assert.deepEqual(troubles, ["Publish error: Not authorized"]);
  });

  test("is made anew with a fresh token where it was told of no refusal, on 3.1.1", async () => {
    const { "3.1.1": session } = refused;
    await session.goesOnAfterItsFirstToken();
    assert.equal(session.closes, 1);
    assert.ok(session.fetched() >= withAnothers.length);
  });
});
