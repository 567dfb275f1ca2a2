import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { issue } from "../../../test/support/certificates.ts";
import { CredentialFault, readServerFiles, serverFilesStamp } from "../src/door/server-files.ts";

const hour = 3_600_000;
const server = await issue(undefined, {
  commonName: "a",
  names: [{ dns: "a.test" }, { dns: "b.test" }],
});
const other = await issue(undefined, { commonName: "b", names: [{ dns: "a.test" }] });

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "wardmq-files-"));
  mkdirSync(join(directory, "broker"));
  put("server.key", server.key);
  put("server.pem", server.pem);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function put(name: string, content: string): void {
  writeFileSync(join(directory, "broker", name), content, { mode: 0o600 });
}

const readAll = (hosts = ["a.test"], now = Date.now()) => readServerFiles(directory, hosts, now);

/** One row for each way the files can be wrong: how they become so, and the sentence. */
const faults: readonly (readonly [string, () => void, RegExp])[] = [
  [
    "a missing key",
    () => rmSync(join(directory, "broker/server.key")),
    /^broker\/server\.key cannot be read \(ENOENT\): /,
  ],
  [
    "a missing certificate",
    () => rmSync(join(directory, "broker/server.pem")),
    /^broker\/server\.pem cannot be read \(ENOENT\): /,
  ],
  [
    "a key that others may read",
    () => chmodSync(join(directory, "broker/server.key"), 0o640),
    /^broker\/server\.key may be read by others \(mode 640\): /,
  ],
  [
    "a link to a key that others may read",
    () => {
      writeFileSync(join(directory, "open.key"), server.key, { mode: 0o644 });
      rmSync(join(directory, "broker/server.key"));
      symlinkSync(join(directory, "open.key"), join(directory, "broker/server.key"));
    },
    /mode 644/,
  ],
  [
    "a certificate that is none",
    () => put("server.pem", "nothing"),
    /^broker\/server\.pem holds no certificate: /,
  ],
  [
    "an empty certificate",
    () => put("server.pem", ""),
    /^broker\/server\.pem holds no certificate: /,
  ],
  [
    "a key that is none",
    () => put("server.key", "nothing"),
    /^broker\/server\.key holds no private key/,
  ],
  [
    "a certificate in the place of the key",
    () => put("server.key", server.pem),
    /^broker\/server\.key holds no private key/,
  ],
  [
    "the key of another certificate",
    () => put("server.key", other.key),
    /^broker\/server\.pem does not belong to broker\/server\.key/,
  ],
  [
    "the certificate of another key",
    () => put("server.pem", other.pem),
    /^broker\/server\.pem does not belong to broker\/server\.key/,
  ],
];

describe("readServerFiles", () => {
  for (const [name, spoil, sentence] of faults) {
    test(`refuses ${name} with one sentence that says what to do`, () => {
      spoil();
      assert.throws(readAll, (error) => {
        assert.ok(error instanceof CredentialFault);
        assert.match(error.message, sentence);
        assert.match(error.message, /^[^\n]+: [^\n]+[^.]$/);
        assert.ok(!error.message.includes(directory), "no path of the machine");
        return true;
      });
    });
  }

  test("refuses a certificate at the moment it expires, and not a second before", () => {
    const expires = Date.parse(server.x509.validTo);
    assert.throws(() => readAll(["a.test"], expires), /^CredentialFault|expired on/);
    assert.doesNotThrow(() => readAll(["a.test"], expires - 1_000));
    assert.ok(expires > Date.now() + hour);
  });

  test("refuses a certificate that does not name every host, and names those that are missing", () => {
    assert.throws(
      () => readAll(["a.test", "c.test", "d.test"]),
      /does not name c\.test, d\.test: /,
    );
    assert.throws(() => readAll(["sub.a.test"]), /does not name sub\.a\.test: /);
  });

  test("reads a key and a certificate that belong together", () => {
    assert.deepEqual(readAll(["a.test", "b.test"]), { key: server.key, certificate: server.pem });
  });
});

describe("serverFilesStamp", () => {
  test("changes with either file, and is empty while one is missing", () => {
    const first = serverFilesStamp(directory);
    assert.equal(serverFilesStamp(directory), first);
    put("server.pem", `${server.pem}\n`);
    const second = serverFilesStamp(directory);
    assert.notEqual(second, first);
    rmSync(join(directory, "broker/server.key"));
    assert.equal(serverFilesStamp(directory), "");
  });
});
