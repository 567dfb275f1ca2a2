import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { KeyProviders, keyEnvironment, writePrivateKeyFile } from "@wardmq/keys";
import { issue } from "../../../test/support/certificates.ts";
import { CredentialFault, ServerFiles } from "../src/door/server-files.ts";

const hour = 3_600_000;
const names = [{ dns: "a.test" }, { dns: "b.test" }];
const root = await issue(undefined, { commonName: "root", isAuthority: true });
/** Of control, as it is known by its subject. */
const server = await issue(root, { commonName: "WardMQ broker", names });
const next = await issue(root, { commonName: "WardMQ broker", names });
/** The operator's own. */
const own = await issue(undefined, { commonName: "a", names });
const other = await issue(undefined, { commonName: "b", names: [{ dns: "a.test" }] });

let directory: string;
let files: ServerFiles;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "wardmq-files-"));
  mkdirSync(join(directory, "broker"));
  const providers = new KeyProviders(keyEnvironment({}));
  const provider = providers.create({ name: "file" }, join(directory, "broker"));
  files = new ServerFiles(directory, providers, provider);
  put("server.key", own.key);
  put("server.pem", own.pem);
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, "broker", name);
const put = (name: string, content: string) => writeFileSync(at(name), content, { mode: 0o600 });
const textOf = (name: string) => readFileSync(at(name), "utf8");
const namesIn = () =>
  readdirSync(join(directory, "broker"))
    .filter((name) => name.startsWith("server"))
    .sort();

const readAll = (hosts = ["a.test"], now = Date.now()) => files.read(hosts, now);

function faultOf(read: () => unknown): CredentialFault {
  try {
    read();
  } catch (error) {
    if (error instanceof CredentialFault) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** One row for each way the files can be wrong: how they become so, and the sentence. */
const faults: readonly (readonly [string, () => void, RegExp])[] = [
  ["a missing key", () => rmSync(at("server.key")), /^broker\/server\.key is missing beside /],
  [
    "a missing certificate",
    () => rmSync(at("server.pem")),
    /^broker\/server\.pem cannot be read \(ENOENT\): /,
  ],
  [
    "a key that others may read",
    () => chmodSync(at("server.key"), 0o640),
    /broker\/server\.key is open to others \(mode 0640\): chmod 600/,
  ],
  [
    "a link to a key that others may read",
    () => {
      writeFileSync(join(directory, "open.key"), own.key, { mode: 0o644 });
      rmSync(at("server.key"));
      symlinkSync(join(directory, "open.key"), at("server.key"));
    },
    /mode 0644/,
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
    /^broker\/server\.key holds no wrapped private key: /,
  ],
  [
    "a private key in the clear that is cut off",
    () => put("server.key", own.key.slice(0, 100)),
    /^broker\/server\.key holds no private key that can be read: /,
  ],
  [
    "a certificate in the place of the key",
    () => put("server.key", own.pem),
    /^broker\/server\.key holds no wrapped private key/,
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

describe("the files of an operator's own certificate", () => {
  for (const [name, spoil, sentence] of faults) {
    test(`are refused for ${name} with one sentence that says what to do`, () => {
      spoil();
      const { message, isForControl } = faultOf(readAll);
      assert.match(message, sentence);
      assert.match(message, /^[^\n]+: [^\n]+[^.]$/);
      assert.ok(!message.includes(directory), "no path of the machine");
      assert.equal(isForControl, false);
    });
  }

  test("are refused at the moment the certificate expires, and not a second before", () => {
    const expires = Date.parse(own.x509.validTo);
    const { message, isForControl } = faultOf(() => readAll(["a.test"], expires));
    assert.match(message, /expired on/);
    assert.equal(isForControl, false);
    assert.doesNotThrow(() => readAll(["a.test"], expires - 1_000));
    assert.ok(expires > Date.now() + hour);
  });

  test("are refused when they do not name every host, and those that are missing are named", () => {
    assert.match(
      faultOf(() => readAll(["a.test", "c.test", "d.test"])).message,
      /does not name c\.test, d\.test: /,
    );
    assert.match(faultOf(() => readAll(["sub.a.test"])).message, /does not name sub\.a\.test: /);
  });

  test("are read, and the key is wrapped then", () => {
    const found = readAll(["a.test", "b.test"]);
    assert.deepEqual([found.key, found.certificate, found.isOurs], [own.key, own.pem, false]);
    assert.doesNotMatch(textOf("server.key"), /PRIVATE KEY/);
    assert.equal(readAll().key, own.key);
  });

  test("may have text between the certificates, and a key in another form of PEM", () => {
    put("server.pem", `subject=a\n${own.pem}\n\nissuer\n${root.pem}`);
    const sec1 = createPrivateKey(own.key).export({ type: "sec1", format: "pem" });
    put("server.key", sec1.toString());
    assert.equal(readAll().path.length, 1);
  });
});

describe("the files of a certificate of control", () => {
  beforeEach(() => {
    put("server.key", server.key);
    put("server.pem", server.pem + root.pem);
  });

  const repairable: readonly (readonly [string, () => void])[] = [
    ["are missing", () => ["server.key", "server.pem"].map((name) => rmSync(at(name)))],
    ["do not belong together", () => put("server.key", own.key)],
  ];
  for (const [name, spoil] of repairable) {
    test(`are control's to replace when they ${name}`, () => {
      spoil();
      assert.equal(faultOf(readAll).isForControl, true);
    });
  }

  test("are control's to replace when the certificate has expired", () => {
    const expires = Date.parse(server.x509.validTo);
    assert.equal(faultOf(() => readAll(["a.test"], expires)).isForControl, true);
  });

  test("are not replaced when the key is damaged, or half of them is gone: an operator has to look", () => {
    put("server.key", "nothing");
    assert.equal(faultOf(readAll).isForControl, false);
    rmSync(at("server.key"));
    assert.equal(faultOf(readAll).isForControl, false);
  });

  test("are served although the hosts are others by now, until the next certificate comes", () => {
    const found = readAll(["c.test"]);
    assert.deepEqual([found.isOurs, found.path.length], [true, 1]);
  });

  test("say when control once left the key in the clear", () => {
    assert.equal(readAll().isPlain, true);
    assert.match(textOf("server.key"), /PRIVATE KEY/);
    files.install(createPrivateKey(next.key), next.pem + root.pem);
    assert.equal(readAll().isPlain, false);
  });
});

describe("installing a new key and its certificate", () => {
  const install = () => files.install(createPrivateKey(next.key), next.pem);

  beforeEach(() => {
    files.install(createPrivateKey(server.key), server.pem);
  });

  test("puts both in place, the key wrapped, and leaves nothing of the former", () => {
    install();
    assert.deepEqual([readAll().key, readAll().certificate], [next.key, next.pem]);
    assert.doesNotMatch(textOf("server.key"), /PRIVATE KEY/);
    assert.deepEqual(namesIn(), ["server.key", "server.pem"]);
  });

  /** The folder as a crash leaves it, and which of the two is served after the next start. */
  const crashes: readonly (readonly [string, () => void, "former" | "new"])[] = [
    ["before anything was written", () => {}, "former"],
    ["while the key was written", () => put("server.key.next", "{"), "former"],
    ["after the key was written", () => writeNextKey(), "former"],
    [
      "while the certificate was written",
      () => {
        writeNextKey();
        put("server.pem.next", next.pem.slice(0, 200));
      },
      "former",
    ],
    [
      "after both were written",
      () => {
        writeNextKey();
        put("server.pem.next", next.pem);
      },
      "new",
    ],
    [
      "after the key was moved",
      () => {
        writeNextKey();
        renameSync(at("server.key"), at("server.key.former"));
        renameSync(at("server.key.next"), at("server.key"));
        put("server.pem.next", next.pem);
      },
      "new",
    ],
    [
      "with a certificate beside it that is for neither key",
      () => {
        writeNextKey();
        put("server.pem.next", own.pem);
      },
      "former",
    ],
  ];

  function writeNextKey(): void {
    const providers = new KeyProviders(keyEnvironment({}));
    const provider = providers.open({ name: "file", path: "kek.key" }, join(directory, "broker"));
    writePrivateKeyFile(at("server.key.next"), createPrivateKey(next.key), provider);
  }

  for (const [name, crash, which] of crashes) {
    test(`that was cut off ${name} leaves the ${which} pair, whole`, () => {
      crash();
      files.settle();
      const wanted = which === "new" ? next : server;
      assert.deepEqual([readAll().key, readAll().certificate], [wanted.key, wanted.pem]);
      assert.deepEqual(namesIn(), ["server.key", "server.pem"]);
      assert.ok(!existsSync(at("server.key.former")));
      install(); // and the next one comes through
      assert.equal(readAll().key, next.key);
    });
  }
});

describe("the stamp of the files", () => {
  test("changes with either file, and is empty while one is missing", () => {
    const first = files.stamp();
    assert.equal(files.stamp(), first);
    put("server.pem", `${own.pem}\n`);
    const second = files.stamp();
    assert.notEqual(second, first);
    rmSync(at("server.key"));
    assert.equal(files.stamp(), "");
  });
});

test("a key of another kind than we certify is an operator's to use", () => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  put("server.key", privateKey.export({ type: "pkcs8", format: "pem" }).toString());
  assert.match(faultOf(readAll).message, /does not belong/); // it was read
});
