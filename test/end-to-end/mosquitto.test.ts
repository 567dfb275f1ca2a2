import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { eventWhere } from "../authorization/events.ts";
import { startDeployment, testPolicy } from "../support/deployment.ts";
import { Mosquitto, missingMosquitto as skip } from "./mosquitto.ts";

const limitBytes = 1_048_576;
const deployment = await startDeployment({
  policy: `${testPolicy}  - { role: tester, to: "service:revoked" }\n`,
  services: ["tester", "limited", "revoked"],
});
const stranger = await startDeployment({ services: ["tester"], devices: 0 });
after(async () => {
  await stranger.stop();
  await deployment.stop();
});

const scenario = (name: string, run: () => Promise<void>) => test(name, { skip }, run);

for (const version of [4, 5] as const) {
  const edition = version === 5 ? "5.0" : "3.1.1";
  const client = await Mosquitto.as(deployment, deployment.credential("tester"), version);
  const limited = await Mosquitto.as(deployment, deployment.credential("limited"), version);
  after(() => {
    client.end();
    limited.end();
  });
  const own = (name: string) => `mosquitto-${version}/${name}`;
  const published = async (words: readonly string[], input?: string) => {
    const { code, stderr } = await client.publish(words, input);
    assert.equal(code, 0, stderr);
  };

  describe(`mosquitto's clients on ${edition}`, () => {
    for (const qos of ["0", "1", "2"]) {
      scenario(`a message at QoS ${qos} arrives once, as it was sent`, async () => {
        const topic = own(`qos-${qos}`);
        const reader = client.start("mosquitto_sub", [
          "-t",
          topic,
          "-q",
          qos,
          "-C",
          "2",
          "-F",
          "%q %t %p",
          "-W",
          "20",
        ]);
        let text = "";
        reader.stdout?.on("data", (bytes) => {
          text += String(bytes);
        });
        const closed = once(reader, "close");
        const ended = closed.then(() => Promise.reject(new Error("it ended without a message")));
        ended.catch(() => {}); // it does end, after its two messages
        const arrived = once(reader.stdout ?? reader, "data");
        // It does not say when it has subscribed: a message that is retained reaches it whenever that is.
        await published(["-t", topic, "-q", qos, "-m", "first", "-r"]);
        await Promise.race([arrived, ended]);
        await published(["-t", topic, "-q", qos, "-m", "second"]);
        assert.deepEqual(await closed, [0, null]);
        assert.equal(text, `${qos} ${topic} first\n${qos} ${topic} second\n`);
      });
    }

    scenario("a retained message is there for a later subscriber until it is cleared", async () => {
      const topic = own("retained");
      await published(["-t", topic, "-q", "1", "-r", "-m", "kept"]);
      const read = ["-t", topic, "-C", "1", "-F", "%r %p"];
      assert.equal((await client.subscribe(read)).stdout, "1 kept\n");
      await published(["-t", topic, "-q", "1", "-r", "-n"]);
      await published(["-t", own("retained/end"), "-q", "1", "-r", "-m", "end"]);
      const { stdout } = await client.subscribe(["-t", `${topic}/#`, "-C", "1"]);
      assert.equal(stdout, "end\n");
    });

    scenario("a will is sent when its client is killed, and not when it says goodbye", async () => {
      const watcher = `watcher-${version}`;
      await client.leaveSession(watcher, ["-t", own("will/#"), "-q", "1"]);
      const will = (name: string) => [
        "--will-topic",
        own(`will/${name}`),
        "--will-payload",
        name,
        "--will-qos",
        "1",
      ];
      await published(["-t", own("x"), "-m", "x", ...will("polite")]);
      await published(["-t", own("here"), "-r", "-m", "x"]);
      const doomed = client.start("mosquitto_sub", ["-t", own("here"), ...will("killed")]);
      await once(doomed.stdout ?? doomed, "data"); // it is connected
      doomed.kill("SIGKILL");
      const { stdout } = await client.subscribe([
        ...client.session(watcher),
        "-t",
        own("will/#"),
        "-q",
        "1",
        "-C",
        "1",
      ]);
      assert.equal(stdout, "killed\n");
    });

    scenario("a session that waits gets 1000 messages in their order", async () => {
      const reader = `reader-${version}`;
      const words = ["-t", own("order"), "-q", "1"];
      await client.leaveSession(reader, words);
      const numbers = Array.from({ length: 1_000 }, (_, i) => `${i}\n`).join("");
      await published(["-t", own("order"), "-q", "1", "-l"], numbers);
      const { stdout } = await client.subscribe([
        ...client.session(reader),
        ...words,
        "-C",
        "1000",
      ]);
      assert.equal(stdout, numbers);
    });

    scenario("a message of just the largest packet arrives; one byte more is refused", async () => {
      const topic = own("large");
      const beside = 1 + 3 + 2 + topic.length + 2 + (version === 5 ? 1 : 0);
      const file = join(deployment.directory, `large-${version}`);
      await writeFile(file, Buffer.alloc(limitBytes - beside + 1, "a"));
      const refused = await client.publish(["-t", topic, "-q", "1", "-r", "-f", file]);
      assert.notEqual(refused.code, 0);
      assert.notEqual(refused.stderr, "");
      await writeFile(file, Buffer.alloc(limitBytes - beside, "a"));
      await published(["-t", topic, "-q", "1", "-r", "-f", file]);
      const { stdout } = await client.subscribe(["-t", topic, "-C", "1", "-F", "%l"]);
      assert.equal(stdout, `${limitBytes - beside}\n`);
    });

    scenario("a denial is shown: of a publish, of a subscription, of a will", async () => {
      const denied = await limited.publish(["-t", "denied", "-q", "1", "-m", "x"]);
      assert.match(denied.stderr, version === 5 ? /not authori[sz]ed/i : /connection was lost/i);
      const reader = await limited.subscribe(["-t", "denied", "-q", "1"]);
      assert.match(reader.stderr, /denied/i);
      const will = await limited.publish(["-t", "allowed/x", "-m", "x", "--will-topic", "denied"]);
      assert.match(will.stderr, /not authori[sz]ed/i);
      assert.notEqual(will.code, 0);
      const permitted = await limited.publish(["-t", "allowed/x", "-q", "1", "-m", "x"]);
      assert.deepEqual([permitted.code, permitted.stderr], [0, ""]);
    });

    scenario("who is not let in is told so by an error, never by silence", async () => {
      const publish = ["-t", own("door"), "-q", "1", "-m", "x"];
      const withoutSni = await client.publish(["-h", "127.0.0.1", ...publish]);
      const elsewhere = await Mosquitto.as(
        deployment,
        {
          ...stranger.credential("tester"),
          subject: "service:stranger",
          ca: deployment.credential("tester").ca,
        },
        version,
      );
      const distrusting = await Mosquitto.as(
        deployment,
        {
          ...deployment.credential("tester"),
          subject: "service:distrusting",
          ca: stranger.credential("tester").ca,
        },
        version,
      );
      for (const [what, { code, stderr }] of [
        ["no host name", withoutSni],
        ["a certificate of another deployment", await elsewhere.publish(publish)],
        ["a server that is not trusted", await distrusting.publish(publish)],
      ] as const) {
        assert.ok(
          code !== 0 && /error|refused|lost|verify/i.test(stderr),
          `${what}: ${code} ${stderr}`,
        );
      }
      await published(publish);
    });
  });
}

scenario("mosquitto_sub is ended when its subject is revoked, and cannot come back", async () => {
  const revoked = await Mosquitto.as(deployment, deployment.credential("revoked"), 5);
  const reader = revoked.subscribe(["-t", "x"]);
  await eventWhere(
    deployment,
    "the connection",
    ({ type, subject }) => type === "connected" && subject === "service:revoked",
  );
  await deployment.command("revoke", { subject: "service:revoked" });
  const timedOut = 27;
  assert.notEqual((await reader).code, timedOut);
  const { code } = await revoked.publish(["-t", "x", "-m", "x", "-q", "1"]);
  assert.notEqual(code, 0);
});
