import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { deployment, wardmq } from "./wardmq.ts";

const id = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";

async function done(words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await wardmq(words);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function refused(words: readonly string[], says: RegExp): Promise<number | null> {
  const { code, stdout, stderr } = await wardmq(words);
  assert.equal(stdout, "");
  assert.match(stderr, says);
  assert.match(stderr, /^wardmq: [^\n]*\n$/);
  return code;
}

describe("without a running control", () => {
  test("a subject that is there, or is wrong, is not added", async () => {
    await using made = await deployment();
    const { directory } = made;
    const device = ["device", "add", directory, "--site", "main", "--ward", "icu", "--id", id];
    await done(device);
    assert.equal(await refused(device, /already registered/), 1);
    assert.equal(
      await refused(["device", "add", directory, "--site", "a/b", "--ward", "icu"], /site/),
      2,
    );
    assert.equal(
      await refused(
        ["device", "add", directory, "--site", "a", "--ward", "icu", "--id", "1"],
        /uuid/,
      ),
      2,
    );
    assert.equal(await refused(["service", "add", directory, "a+b"], /a\+b/), 2);
  });

  test("devices and services are added and listed, for people and as JSON", async () => {
    await using made = await deployment();
    const { directory } = made;
    assert.equal(await done(["list", directory]), "no devices or services\n");
    const added = await done([
      "device",
      "add",
      directory,
      "--site",
      "main",
      "--ward",
      "icu",
      "--model",
      "m1",
      "--id",
      id,
    ]);
    assert.match(added, new RegExp(`^added device:${id}\n`));
    const service = JSON.parse(await done(["service", "add", directory, "dashboard", "--json"]));
    assert.equal(service.id, "service:dashboard");
    const subjects = JSON.parse(await done(["list", directory, "--json"]));
    assert.deepEqual(subjects.map((subject: { id: string }) => subject.id).sort(), [
      `device:${id}`,
      "service:dashboard",
    ]);
    assert.match(
      await done(["list", directory]),
      new RegExp(`device:${id} +registered +hospital-1 +main +icu +m1`),
    );
  });

  test("two commands at once both happen", async () => {
    await using made = await deployment();
    const names = ["a", "b", "c", "d"];
    await Promise.all(names.map((name) => done(["service", "add", made.directory, name])));
    const subjects = JSON.parse(await done(["list", made.directory, "--json"]));
    assert.equal(subjects.length, names.length);
  });

  test("DIR may be left out where WARDMQ_DIR is set, and wins where it is not", async () => {
    await using made = await deployment();
    await using other = await deployment();
    const environment = { WARDMQ_DIR: made.directory };
    assert.equal((await wardmq(["service", "add", "here"], { environment })).code, 0);
    assert.equal(
      (await wardmq(["service", "add", other.directory, "there"], { environment })).code,
      0,
    );
    assert.match((await wardmq(["list"], { environment })).stdout, /service:here/);
    assert.doesNotMatch((await wardmq(["list"], { environment })).stdout, /service:there/);
  });

  test("a revoked subject gets no credential", async () => {
    await using made = await deployment();
    const { directory, parent } = made;
    const out = join(parent, "out");
    await done(["service", "add", directory, "dashboard"]);
    assert.match(
      await done(["revoke", directory, "service:dashboard"]),
      /^revoked service:dashboard/,
    );
    assert.equal(
      await refused(["credential", directory, "service:dashboard", "--out", out], /revoked/),
      1,
    );
    assert.equal(existsSync(join(out, "key.pem")), false);
    assert.equal(await refused(["revoke", directory, "service:nobody"], /service:nobody/), 1);
    assert.equal(await refused(["revoke", directory, "everybody"], /everybody/), 2);
  });

  test("the last events are shown, for people and as JSON", async () => {
    await using made = await deployment();
    for (const name of ["a", "b"]) await done(["service", "add", made.directory, name]);
    const [line = ""] = (await done(["events", made.directory, "--last", "1", "--json"])).split(
      "\n",
    );
    assert.equal(JSON.parse(line).subject, "service:b");
    assert.match(await done(["events", made.directory]), /notice +subject-added subject=service:a/);
  });
});

describe("credential", () => {
  test("is not written over what is there", async () => {
    await using made = await deployment();
    const { directory, parent } = made;
    await done(["service", "add", directory, "dashboard"]);
    for (const file of ["key.pem", "cert.pem", "ca.pem"]) {
      const out = join(parent, `with-${file}`);
      await mkdir(out);
      await writeFile(join(out, file), "mine");
      assert.equal(
        await refused(
          ["credential", directory, "service:dashboard", "--out", out],
          /not overwritten/,
        ),
        1,
      );
      assert.equal(await readFile(join(out, file), "utf8"), "mine");
    }
    const file = join(parent, "a-file");
    await writeFile(file, "mine");
    for (const out of [file, join(file, "below")]) {
      const words = ["credential", directory, "service:dashboard", "--out", out];
      assert.equal(
        await refused(words, /cannot make the folder .*: it is, or lies below, a file/),
        1,
      );
    }
  });

  test("is not made for a subject that does not exist, and leaves no key behind", async () => {
    await using made = await deployment();
    const out = join(made.parent, "out");
    assert.equal(
      await refused(
        ["credential", made.directory, "service:nobody", "--out", out],
        /service:nobody/,
      ),
      1,
    );
    assert.equal(existsSync(join(out, "key.pem")), false);
  });

  test("is a private key for its owner only, its certificate with path, and the trust anchors", async () => {
    await using made = await deployment();
    await done(["device", "add", made.directory, "--site", "main", "--ward", "icu", "--id", id]);
    // Relative to where the command is written, not to DIR.
    const words = ["credential", made.directory, `device:${id}`, "--out", "new/out"];
    const { code, stderr } = await wardmq(words, { cwd: made.parent });
    assert.equal(code, 0, stderr);
    const file = (name: string) => join(made.parent, "new/out", name);
    assert.equal((await stat(file("key.pem"))).mode & 0o777, 0o600);
    assert.equal((await stat(file("."))).mode & 0o777, 0o700);
    const key = createPrivateKey(await readFile(file("key.pem")));
    const certificates =
      (await readFile(file("cert.pem"), "utf8")).match(/-----BEGIN[\s\S]*?END CERTIFICATE-----/g) ??
      [];
    const [leaf, issuing] = certificates.map((pem) => new X509Certificate(pem));
    const root = new X509Certificate(await readFile(file("ca.pem")));
    assert.ok(leaf && issuing);
    assert.equal(leaf.checkPrivateKey(key), true);
    assert.equal(leaf.subjectAltName, `URI:spiffe://prod.hospital-1/device/${id}`);
    assert.equal(leaf.verify(issuing.publicKey), true);
    assert.equal(issuing.verify(root.publicKey), true);
  });
});
