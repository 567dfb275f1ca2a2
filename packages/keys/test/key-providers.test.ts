import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import {
  type KeyEnvironment,
  KeyProviders,
  type ProviderChoice,
  parseProviderChoice,
  parseProviderDescription,
} from "../src/index.ts";
import { fails, keyProviderContract } from "./contract/key-provider.contract.ts";
import { noEnvironment, TemporaryFolder } from "./temporary-folder.ts";

const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());

/** Two environments, each a process of its own, and a provider in each. */
function underTest(
  choice: ProviderChoice,
  [mine, others]: readonly [KeyEnvironment, KeyEnvironment],
  [here, there]: readonly [string, string] = [folder.path, folder.path],
) {
  const { description } = new KeyProviders(mine).create(choice, here);
  const { description: other } = new KeyProviders(others).create(choice, there);
  return {
    open: () => new KeyProviders(mine).open(description, here),
    other: () => new KeyProviders(others).open(other, there),
  };
}

const withPassphrase = (passphrase: string | undefined): KeyEnvironment => ({
  credentialsDirectory: undefined,
  passphrase: () => passphrase,
});

function withCredentials(credentials: Readonly<Record<string, string | Buffer>>): KeyEnvironment {
  const own = new TemporaryFolder();
  after(() => own[Symbol.dispose]());
  for (const [name, value] of Object.entries(credentials))
    writeFileSync(own.in(name), value, { mode: 0o440 });
  return { credentialsDirectory: own.path, passphrase: () => undefined };
}

describe("the provider file", () => {
  keyProviderContract(() => {
    const another = new TemporaryFolder();
    after(() => another[Symbol.dispose]());
    const places = [folder.path, another.path] as const;
    return underTest({ name: "file" }, [noEnvironment, noEnvironment], places);
  });

  test("refuses a file that others can read, that is missing, or that holds no key", () => {
    using own = new TemporaryFolder();
    const open = () => new KeyProviders(noEnvironment).open({ name: "file", path: "k" }, own.path);
    fails("ERR_KEY_FILE", open);
    writeFileSync(own.in("k"), "no key", { mode: 0o600 });
    fails("ERR_KEY_FILE", open);
    writeFileSync(own.in("k"), randomBytes(32).toString("hex"));
    chmodSync(own.in("k"), 0o640);
    fails("ERR_KEY_MODE", open);
    chmodSync(own.in("k"), 0o600);
    open();
  });

  test("makes its file for its owner only, and keeps one that is there", () => {
    using own = new TemporaryFolder();
    const create = () => new KeyProviders(noEnvironment).create({ name: "file" }, own.path);
    create();
    const text = readFileSync(own.in("kek.key"), "utf8");
    assert.equal(statSync(own.in("kek.key")).mode & 0o777, 0o600);
    create();
    assert.equal(readFileSync(own.in("kek.key"), "utf8"), text);
  });
});

describe("the provider credentials", () => {
  const choice = { name: "credentials", credential: "wardmq-kek" } as const;
  const hex = () => `${randomBytes(32).toString("hex")}\n`;

  keyProviderContract(() =>
    underTest(choice, [
      withCredentials({ "wardmq-kek": hex() }),
      withCredentials({ "wardmq-kek": randomBytes(32) }),
    ]),
  );

  test("refuses where there are no credentials, none of the name, or one that is no key", () => {
    const open = (environment: KeyEnvironment, credential = "wardmq-kek") =>
      new KeyProviders(environment).open({ name: "credentials", credential }, folder.path);
    fails("ERR_KEY_PROVIDER", () => open(noEnvironment));
    fails("ERR_KEY_PROVIDER", () => open(withCredentials({ other: hex() })));
    fails("ERR_KEY_FILE", () => open(withCredentials({ "wardmq-kek": "no key" })));
    open(withCredentials({ "wardmq-kek": hex() }));
  });

  test("refuses one that others can read or a group can write", () => {
    const environment = withCredentials({ "wardmq-kek": hex() });
    const path = join(environment.credentialsDirectory ?? "", "wardmq-kek");
    const open = () => new KeyProviders(environment).open(choice, folder.path);
    for (const mode of [0o444, 0o404, 0o660, 0o402]) {
      chmodSync(path, mode);
      fails("ERR_KEY_MODE", open);
    }
    for (const mode of [0o400, 0o440, 0o600]) {
      chmodSync(path, mode);
      open();
    }
  });

  test("says of an empty one that it is empty", () => {
    const environment = withCredentials({ "wardmq-kek": "" });
    const open = () => new KeyProviders(environment).open(choice, folder.path);
    assert.throws(open, /the credential wardmq-kek is empty/);
  });

  test("refuses a name that leads out of the folder", () => {
    for (const credential of ["../key", "/etc/key", "", ".", ".."]) {
      fails("ERR_KEY_PROVIDER", () =>
        new KeyProviders(withCredentials({ key: hex() })).open(
          { name: "credentials", credential },
          folder.path,
        ),
      );
    }
  });
});

describe("the provider passphrase", () => {
  const choice = { name: "passphrase" } as const;
  const [one, two] = ["correct horse battery", "another horse battery"];

  keyProviderContract(() => underTest(choice, [withPassphrase(one), withPassphrase(two)]));

  test("refuses a short passphrase for new keys, and to work without one", () => {
    fails("ERR_KEY_PROVIDER", () =>
      new KeyProviders(withPassphrase("short")).create(choice, folder.path),
    );
    fails("ERR_KEY_PROVIDER", () => new KeyProviders(noEnvironment).create(choice, folder.path));
    new KeyProviders(withPassphrase("twelve chars")).create(choice, folder.path);
  });

  test("takes the passphrase from a credential as well", () => {
    const about = Buffer.from("about");
    const typed = new KeyProviders(withPassphrase(one)).create(choice, folder.path);
    const wrapped = typed.wrap(Buffer.alloc(32), about);
    const environment = withCredentials({ "wardmq-passphrase": `${one}\n` });
    const opened = new KeyProviders(environment).open(typed.description, folder.path);
    assert.deepEqual(opened.unwrap(wrapped, about), Buffer.alloc(32));
  });
});

describe("a description of a provider", () => {
  const scrypt = { salt: "0".repeat(32), N: 2 ** 17, r: 8, p: 1 };
  for (const refused of [
    undefined,
    "file",
    {},
    { name: "none" },
    { name: "__proto__" },
    { name: "file" },
    { name: "file", path: 1 },
    { name: "file", path: "kek.key", mode: 0o644 },
    { name: "passphrase", ...scrypt, N: 2 ** 10 },
    { name: "passphrase", ...scrypt, N: 2 ** 17 + 1 },
    { name: "passphrase", ...scrypt, N: 2 ** 30 },
    { name: "passphrase", ...scrypt, r: 0 },
    { name: "passphrase", ...scrypt, p: 1000 },
    { name: "passphrase", ...scrypt, salt: "" },
  ]) {
    test(`is refused: ${JSON.stringify(refused)}`, () =>
      assert.equal(parseProviderDescription(refused), undefined));
  }
  for (const taken of [
    { name: "file", path: "kek.key" },
    { name: "credentials", credential: "wardmq-kek" },
    { name: "passphrase", ...scrypt },
  ]) {
    test(`is taken: ${JSON.stringify(taken)}`, () =>
      assert.deepEqual(parseProviderDescription(taken), taken));
  }
});

describe("the choice of a provider", () => {
  for (const refused of ["", "files", "file:x", "credentials", "passphrase:secret"]) {
    test(`is refused: "${refused}"`, () => assert.equal(parseProviderChoice(refused), undefined));
  }
  test("names a provider and, for a credential, which", () => {
    assert.deepEqual(parseProviderChoice("file"), { name: "file" });
    assert.deepEqual(parseProviderChoice("passphrase"), { name: "passphrase" });
    assert.deepEqual(parseProviderChoice("credentials:kek"), {
      name: "credentials",
      credential: "kek",
    });
  });
});
