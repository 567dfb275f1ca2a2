import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import {
  type Credential,
  commandOnce,
  type Deployment,
  newCredential,
  startDeployment,
} from "../support/deployment.ts";
import { type ConnectOptions, RawClient } from "../support/raw-client.ts";
import { openTls, tlsWire } from "../support/wire.ts";

const deployment = await startDeployment({ services: ["tester", "gone"], devices: 1 });
const folder = await mkdtemp(join(tmpdir(), "wardmq-backup-"));
after(async () => {
  await deployment.stop();
  await rm(folder, { recursive: true, force: true });
});

const pair = generateKeyPairSync("x25519");
const recipient = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
const identity = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();

const backup = (out: string, withCaKey: boolean) =>
  commandOnce(deployment.directory, "backup", { out: join(folder, out), recipient, withCaKey });
const restore = (file: string, directory: string, by = identity, more: { caKeys?: string } = {}) =>
  commandOnce(directory, "restore", { file: join(folder, file), identity: by, ...more });
const refuses = (work: Promise<unknown>, code: string) =>
  assert.rejects(work, (error: Error) => {
    assert.match(error.message, new RegExp(`${code} `));
    return true;
  });

async function connect(
  to: Deployment,
  credential: Credential,
  options: ConnectOptions = {},
): Promise<RawClient> {
  const client = new RawClient(tlsWire(await openTls(to.mqtts, credential)), 5);
  const clientId = credential.subject.slice(credential.subject.indexOf(":") + 1);
  const { reasonCode } = await client.connect({ clientId, ...options });
  assert.equal(reasonCode, 0);
  return client;
}

describe("a backup", () => {
  test("taken under load is restored to a deployment that the same certificates get into", async () => {
    const tester = deployment.credential("tester");
    const gone = deployment.credential("gone");
    await deployment.command("revoke", { subject: "service:gone" });
    const client = await connect(deployment, tester);
    let isLoaded = true;
    const load = (async () => {
      for (let n = 0; isLoaded && n < 20_000; n += 1)
        await client.publish("load", `${n}`, { qos: 1 });
    })();
    const adding = (async () => {
      for (let n = 0; n < 20; n += 1)
        await deployment.command("service.add", { name: `more-${n}` });
    })();
    const made = await backup("whole", true);
    isLoaded = false;
    await Promise.all([load, adding]);
    assert.ok(made.files > 5 && made.bytes > 10_000);

    let restored: Awaited<ReturnType<typeof restore>> | undefined;
    await using again = await startDeployment({
      restored: async (directory) => {
        restored = await restore("whole", directory);
      },
    });
    assert.deepEqual(restored?.deployment, {
      org: "hospital",
      environment: "test",
      trustDomain: "test.hospital",
    });
    assert.equal(restored?.createdAt, made.createdAt);
    const back = await connect(again, tester);
    assert.equal(await back.subscribe("load"), 2);
    await back.disconnect();
    await assert.rejects(connect(again, gone)); // revoked before, and still
    await again.command("device.add", { site: "north", ward: "icu" });
    const { subjects } = await again.command("list", {});
    assert.ok(subjects.some(({ id }) => id === tester.subject));
    const { events } = await again.command("events", { last: 100 });
    assert.ok(JSON.stringify(events).includes('"subject-revoked-by"'));
  });

  test("brings back what is retained, and what a session that is away is owed", async () => {
    const tester = deployment.credential("tester");
    const durable = {
      clientId: "away",
      cleanStart: false,
      properties: { sessionExpiryInterval: 3600 },
    } as const;
    const away = await connect(deployment, tester, durable);
    assert.equal(await away.subscribe("owed/#"), 2);
    await away.disconnect();
    const publisher = await connect(deployment, tester, { clientId: "publisher" });
    await publisher.publish("kept", "retained", { qos: 1, retain: true });
    await publisher.publish("owed/1", "queued", { qos: 1 });
    await publisher.disconnect();
    await backup("messages", true);

    await using again = await startDeployment({
      restored: (directory) => restore("messages", directory),
    });
    const back = await connect(again, tester, durable);
    const queued = await back.take("PUBLISH");
    assert.equal(Buffer.from(queued.payload).toString(), "queued");
    await back.subscribe("kept");
    const retained = await back.take("PUBLISH");
    assert.equal(Buffer.from(retained.payload).toString(), "retained");
  });

  test("leaves the keys of the CAs out when they are not asked for", async () => {
    await backup("no-ca-key", false);
    const into = join(folder, "no-ca-key.d");
    const { withCaKey } = await restore("no-ca-key", into);
    assert.equal(withCaKey, false);
    const keys = (await readdir(join(into, "control"))).filter((name) => name.endsWith(".key"));
    assert.deepEqual(keys.sort(), ["feed.key", "kek.key"]);
  });

  test("without the keys of the CAs is restored with those that were kept elsewhere, opened by what was kept with them", async () => {
    await backup("daily", false);
    const into = join(folder, "daily.d");
    const caKeys = join(folder, "safe");
    const refused = (code: string) => refuses(restore("daily", into, identity, { caKeys }), code);
    await refused("ERR_BACKUP_FILE"); // there is no such folder
    await mkdir(caKeys);
    const keep = (name: string, as = name) =>
      copyFile(join(deployment.directory, "control", name), join(caKeys, as));
    await keep("root-ca.key");
    await keep("kek.key");
    await refused("ERR_CA"); // the root cannot stand for the CA that signs
    await keep("issuing-ca.key", "a-name-of-its-own.key");
    await rm(join(caKeys, "kek.key"));
    await refused("ERR_KEY_FILE");
    await writeFile(join(caKeys, "kek.key"), `${"0".repeat(64)}\n`, { mode: 0o600 });
    await refused("ERR_KEY_WRONG");
    assert.ok(!(await readdir(folder)).includes("daily.d"));
    await keep("kek.key");
    let restored: Awaited<ReturnType<typeof restore>> | undefined;
    await using again = await startDeployment({
      restored: async (directory) => {
        restored = await restore("daily", directory, identity, { caKeys });
      },
    });
    assert.equal(restored?.withCaKey, true);
    await newCredential(again.command, "service:tester");
    await again.command("rotation.step", { what: "issuing-ca" }); // the root signs
  });

  test("is refused by another key, by what is no key, and into a folder that holds something", async () => {
    await backup("refused", true);
    const other = generateKeyPairSync("x25519").privateKey.export({ type: "pkcs8", format: "pem" });
    const into = join(folder, "refused.d");
    await refuses(restore("refused", into, other.toString()), "ERR_BACKUP_KEY");
    await refuses(restore("refused", into, recipient), "ERR_BACKUP_KEY");
    await refuses(restore("none", into), "ERR_BACKUP_FILE");
    await refuses(restore("refused", folder), "ERR_FOLDER_NOT_EMPTY");
    await refuses(backup("refused", true), "ERR_BACKUP_FILE"); // never overwrites
    await restore("refused", into);
  });

  test("is refused when it is damaged anywhere, cut off anywhere, or longer, and leaves nothing behind", async () => {
    await backup("damaged", true);
    const whole = await readFile(join(folder, "damaged"));
    const into = join(folder, "damaged.d");
    const step = Math.ceil(whole.length / 6);
    const broken: Buffer[] = [whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(1)])];
    for (let at = 5; at < whole.length; at += step) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      broken.push(flipped, whole.subarray(0, at));
    }
    for (const bytes of broken) {
      await writeFile(join(folder, "broken"), bytes);
      await refuses(restore("broken", into), "ERR_BACKUP");
    }
    assert.ok(!(await readdir(folder)).includes("damaged.d"));
    await restore("damaged", into);
  });

  test("shows nothing of what is in it", async () => {
    await backup("sealed", true);
    const text = (await readFile(join(folder, "sealed"))).toString("latin1");
    assert.doesNotMatch(text, /hospital|tester|PRIVATE|policy|registry/);
  });
});
