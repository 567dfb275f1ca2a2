import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import { signatureAlgorithms } from "@wardmq/x509";
import {
  KeyFile,
  KeyProviders,
  openPrivateKeyFile,
  openSigner,
  writeTokenKeyFile,
} from "../src/index.ts";
import { fails, keyProviderContract } from "./contract/key-provider.contract.ts";
import { signerContract } from "./contract/signer.contract.ts";
import { makeToken, pkcs11Tool, softHsmIsMissing, withSoftHsm } from "./soft-hsm.ts";
import { noEnvironment, TemporaryFolder } from "./temporary-folder.ts";

const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());

// SoftHSM2 asks the environment that its process was started with for the folder of its tokens.
// A mark of our own: SOFTHSM2_CONF may name tokens of whoever runs the tests.
const mark = "WARDMQ_TEST_HAS_TOKEN";
if (process.env[mark] === undefined) {
  test("provider and signer work on a token of SoftHSM2", { skip: softHsmIsMissing }, () => {
    const options = process.versions["bun"] ? ["test", "--timeout", "100000"] : ["--test"];
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [...options, import.meta.filename],
      {
        env: { ...withSoftHsm(folder.path), [mark]: "1" },
        encoding: "utf8",
        timeout: 110_000,
      },
    );
    assert.equal(status, 0, `${stdout}\n${stderr}`);
  });
} else {
  onToken();
}

function onToken(): void {
  const uriOf = makeToken(folder.path, "ward");
  const providers = new KeyProviders(noEnvironment);

  describe("the provider pkcs11", () => {
    keyProviderContract(() => {
      const name = randomBytes(4).toString("hex");
      const make = (object: string) => () =>
        new KeyProviders(noEnvironment).create({ name: "pkcs11", uri: uriOf(object) }, folder.path);
      return { open: make(name), other: make(`${name}-other`) };
    }, {});

    const open = (uri: string) =>
      new KeyProviders(noEnvironment).open({ name: "pkcs11", uri }, folder.path);

    test("refuses a token, a key, a library or a PIN that is not there", () => {
      fails("ERR_KEY_PROVIDER", () => open(uriOf("none")));
      fails("ERR_KEY_PROVIDER", () => open(uriOf("kek").replace("token=ward", "token=other")));
      fails("ERR_KEY_PROVIDER", () => open(uriOf("kek").replace("libsofthsm2.so", "none.so")));
      fails("ERR_KEY_FILE", () => open(`${uriOf("kek")}-none`));
    });

    test("refuses a PIN that others can read", () => {
      writeFileSync(folder.in("open-pin"), "12345678", { mode: 0o600 });
      chmodSync(folder.in("open-pin"), 0o644);
      const uri = uriOf("kek").replace(folder.in("pin"), folder.in("open-pin"));
      fails("ERR_KEY_MODE", () => open(uri));
    });

    test("tries no PIN where none is written: the token would count it", () => {
      writeFileSync(folder.in("no-pin"), "\n", { mode: 0o600 });
      const uri = uriOf("kek").replace(folder.in("pin"), folder.in("no-pin"));
      assert.throws(() => open(uri), /no-pin holds no PIN/);
    });

    test("refuses a key that may leave its token", () => {
      const words = ["--keygen", "--key-type", "AES:32", "--label", "leaky", "--extractable"];
      assert.equal(pkcs11Tool("ward", ...words).status, 0);
      fails("ERR_KEY_PROVIDER", () => open(uriOf("leaky")));
    });

    test("makes a key that pkcs11-tool finds in the token, and that never leaves it", () => {
      new KeyProviders(noEnvironment).create({ name: "pkcs11", uri: uriOf("mine") }, folder.path);
      const { stdout } = pkcs11Tool(
        "ward",
        "--list-objects",
        "--type",
        "secrkey",
        "--label",
        "mine",
      );
      assert.match(stdout, /AES length 32/);
      assert.match(stdout, /Access: .*sensitive, always sensitive, never extractable/);
    });

    test("opens a key file again after a restart", () => {
      const provider = providers.create({ name: "pkcs11", uri: uriOf("kek") }, folder.path);
      const made = KeyFile.create(folder.in("keys.json"), "control", provider, Date.now());
      const opened = KeyFile.open(
        folder.in("keys.json"),
        "control",
        new KeyProviders(noEnvironment),
      );
      assert.equal(opened.ring.currentId, made.ring.currentId);
    });
  });

  for (const type of ["P-256", "P-384"] as const) {
    describe(`a Signer of ${type} in a token`, () => {
      const path = folder.in(`${type}.key`);
      signerContract(
        () =>
          writeTokenKeyFile(
            folder.in(randomBytes(4).toString("hex")),
            uriOf(randomBytes(4).toString("hex")),
            type,
            providers,
          ),
        {},
      );

      test("is found again by its file, and by openssl's rules signs what its file names", async () => {
        const made = writeTokenKeyFile(path, uriOf(type), type, providers);
        const opened = openSigner(path, new KeyProviders(noEnvironment));
        assert.deepEqual(opened.publicKey, made.publicKey);
        const tbs = randomBytes(500);
        const key = createPublicKey({
          key: Buffer.from(made.publicKey),
          format: "der",
          type: "spki",
        });
        const { hash } = signatureAlgorithms[opened.algorithm];
        assert.ok(verify(hash, tbs, key, await opened.sign(tbs)));
      });

      test("lets others have their turn while it signs", async () => {
        const signer = openSigner(path, new KeyProviders(noEnvironment));
        let turns = 0;
        const count = setImmediate(function again() {
          turns += 1;
          if (turns < 1_000) setImmediate(again);
        });
        await Promise.all(Array.from({ length: 50 }, () => signer.sign(randomBytes(100))));
        clearImmediate(count);
        assert.ok(turns > 0, "it signed in the thread that asked"); // a fast token is done after a few
      });

      test("is never overwritten, never leaves the token, and is refused for another key's file", () => {
        const again = () => writeTokenKeyFile(folder.in("again.key"), uriOf(type), type, providers);
        fails("ERR_KEY_PROVIDER", again);
        fails("ERR_KEY_FILE", () => openPrivateKeyFile(path, providers));
        const { stdout } = pkcs11Tool(
          "ward",
          "--list-objects",
          "--type",
          "privkey",
          "--label",
          type,
        );
        assert.match(stdout, /never extractable/);
      });
    });
  }

  test("the file of a key in a token is refused when the token holds another key", () => {
    const path = folder.in("first.key");
    writeTokenKeyFile(path, uriOf("first"), "P-256", providers);
    writeTokenKeyFile(folder.in("second.key"), uriOf("second"), "P-256", providers);
    writeFileSync(path, readFileSync(path, "utf8").replace("object=first", "object=second"));
    fails("ERR_KEY_WRONG", () => openSigner(path, providers));
  });
}
