import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { CommandName, CommandResponse, Commands } from "@wardmq/commands";
import { readKeyFile } from "@wardmq/keys";
import { makeToken, softHsmIsMissing, withSoftHsm } from "../../../packages/keys/test/soft-hsm.ts";
import { main, newDeployment, RunningControl, runMain, TestFolder } from "./control-under-test.ts";

const passphrases = { a: "correct horse battery", b: "another horse battery" } as const;

/** A deployment, and environments that hold what opens it. */
class Changing implements Disposable {
  readonly folder: TestFolder;

  private constructor(folder: TestFolder) {
    this.folder = folder;
  }

  static async make(): Promise<Changing> {
    const changing = new Changing(await newDeployment());
    for (const [name, passphrase] of Object.entries(passphrases)) {
      changing.#credential(name, "wardmq-passphrase", passphrase);
      changing.#credential(name, "kek", `${name}`.repeat(64));
    }
    return changing;
  }

  #credential(directory: string, name: string, text: string): void {
    const path = join(this.folder.path, directory);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, name), text, { mode: 0o600 });
  }

  /** `a` and `b` have a passphrase and a credential each; `none` has neither. */
  environment(which: "a" | "b" | "none"): NodeJS.ProcessEnv {
    const { CREDENTIALS_DIRECTORY: _, ...env } = process.env;
    if (which === "none") return env;
    return { ...env, CREDENTIALS_DIRECTORY: join(this.folder.path, which) };
  }

  async once<Name extends CommandName>(
    command: Name,
    values: Commands[Name]["arguments"],
    env: NodeJS.ProcessEnv,
  ): Promise<CommandResponse> {
    const input = `${JSON.stringify({ command, arguments: values })}\n`;
    const { out } = await runMain(["once", this.folder.deployment], input, env);
    return JSON.parse(out) as CommandResponse;
  }

  async change(to: Commands["keys.change"]["arguments"], env: NodeJS.ProcessEnv): Promise<void> {
    const response = await this.once("keys.change", to, env);
    assert.ok(response.ok, JSON.stringify(response));
  }

  /** Everything opens, the keys of CA, feed and both stores as well. */
  async opens(env: NodeJS.ProcessEnv): Promise<boolean> {
    const { publicKey } = generateKeyPairSync("x25519");
    const recipient = publicKey.export({ type: "spki", format: "pem" }).toString();
    const out = join(this.folder.path, "backup");
    rmSync(out, { force: true });
    const list = await this.once("list", {}, env); // ends what was cut off
    if (!list.ok) return false;
    const backup = await this.once("backup", { out, recipient, withCaKey: true }, env);
    assert.ok(backup.ok, JSON.stringify(backup));
    return true;
  }

  providers(): readonly string[] {
    const ofKeys = ["control", "broker"].map((part) => this.folder.in(part, "keys.json"));
    const files = readdirSync(this.folder.in("control")).filter(
      (name) => name.endsWith(".key") && name !== "kek.key",
    );
    const texts = files.map((name) => readFileSync(this.folder.in("control", name), "utf8"));
    return [
      ...ofKeys.map((path) => readKeyFile(path).provider.name),
      ...texts.map((text) => (JSON.parse(text) as { provider: { name: string } }).provider.name),
    ];
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

const all = (name: string) => Array.from({ length: 5 }, () => name);

describe("changing what protects the keys", () => {
  test("is refused while somebody serves, and where nothing would be better than before; nothing is changed", async () => {
    using it = await Changing.make();
    const none = it.environment("none");
    const refuses = async (
      to: Commands["keys.change"]["arguments"],
      code: string,
      env = none,
    ): Promise<void> => {
      const response = await it.once("keys.change", to, env);
      assert.equal(response.ok ? "done" : response.error.code, code);
    };
    const toB = { to: "passphrase", passphrase: passphrases.b };
    {
      await using control = await RunningControl.start(it.folder.deployment);
      await refuses(toB, "ERR_CONTROL_RUNS");
      const overSocket = await control.ask("keys.change", toB);
      assert.equal(overSocket.ok ? "done" : overSocket.error.code, "ERR_REQUEST");
    }
    mkdirSync(it.folder.in("broker/state"));
    const lock = new DatabaseSync(it.folder.in("broker/state/.lock"));
    lock.exec("BEGIN EXCLUSIVE"); // as a broker does
    await refuses(toB, "ERR_BUSY");
    lock.close();
    await refuses({ to: "nothing" }, "ERR_INIT_ARGUMENTS");
    await refuses({ to: "file" }, "ERR_KEYS_CHANGE");
    await refuses({ to: "passphrase", passphrase: "short" }, "ERR_KEY_PROVIDER");
    await refuses({ to: "passphrase" }, "ERR_KEY_PROVIDER");
    await refuses({ to: "credentials:kek" }, "ERR_KEY_PROVIDER");
    const root = it.folder.in("control/root-ca.key");
    const elsewhere = join(it.folder.path, "root-ca.key");
    cpSync(root, elsewhere);
    rmSync(root);
    await refuses(toB, "ERR_ROOT_KEY");
    cpSync(elsewhere, root);
    assert.deepEqual(it.providers(), all("file"));
    assert.ok(await it.opens(none));
  });

  test("leads from a file to a passphrase, another one, a credential, and back; only the last one opens", async () => {
    using it = await Changing.make();
    const [a, b, none] = [it.environment("a"), it.environment("b"), it.environment("none")];
    await it.change({ to: "passphrase", passphrase: passphrases.a }, none);
    assert.deepEqual(it.providers(), all("passphrase"));
    for (const part of ["control", "broker"]) assert.ok(!existsSync(it.folder.in(part, "kek.key")));
    assert.deepEqual(
      [await it.opens(none), await it.opens(b), await it.opens(a)],
      [false, false, true],
    );
    await it.change({ to: "passphrase", passphrase: passphrases.b }, a);
    assert.deepEqual([await it.opens(a), await it.opens(b)], [false, true]);
    await it.change({ to: "credentials:kek" }, b);
    assert.deepEqual(it.providers(), all("credentials"));
    assert.deepEqual([await it.opens(a), await it.opens(b)], [false, true]);
    await it.change({ to: "file" }, b);
    assert.deepEqual(it.providers(), all("file"));
    assert.equal(statSync(it.folder.in("control/kek.key")).mode & 0o777, 0o600);
    assert.ok(await it.opens(none));
    const events = await it.once("events", { last: 100 }, none);
    const told = JSON.stringify(events).match(/"from":"\w+","to":"\w+"/g);
    assert.deepEqual(told, [
      '"from":"file","to":"passphrase"',
      '"from":"passphrase","to":"passphrase"',
      '"from":"passphrase","to":"credentials"',
      '"from":"credentials","to":"file"',
    ]);
    assert.deepEqual(leftOvers(it.folder), []);
  });

  test("leads into a PKCS#11 token and back", { skip: softHsmIsMissing }, async () => {
    using it = await Changing.make();
    const env = withSoftHsm(it.folder.path);
    const uri = makeToken(it.folder.path, "ward", env)("kek");
    await it.change({ to: uri }, env);
    assert.deepEqual(it.providers(), all("pkcs11"));
    assert.deepEqual([await it.opens(it.environment("none")), await it.opens(env)], [false, true]);
    await it.change({ to: "file" }, env);
    assert.ok(await it.opens(it.environment("none")));
  });

  test("that was cut off after any step leaves the former or the new passphrase to open everything", async () => {
    using it = await Changing.make();
    const [a, b] = [it.environment("a"), it.environment("b")];
    await it.change({ to: "passphrase", passphrase: passphrases.a }, it.environment("none"));
    using before = new Copy(it.folder.deployment);
    await it.change({ to: "passphrase", passphrase: passphrases.b }, a);
    using after = new Copy(it.folder.deployment);
    const changed = [
      ...["root-ca", "issuing-ca", "feed"].map((name) => `control/${name}.key`),
      "broker/keys.json",
      "control/keys.json",
    ].sort();
    const list = it.folder.in("control/keys-change.json");
    const draft = (path: string) => cpSync(after.in(path), it.folder.in(`${path}.next`));

    before.putBack();
    for (const path of changed.slice(0, 3)) draft(path); // killed while it wrote what is to come
    assert.deepEqual([await it.opens(b), await it.opens(a)], [false, true]);

    for (let moved = 0; moved <= changed.length; moved += 1) {
      before.putBack();
      for (const [i, path] of changed.entries()) {
        if (i < moved) cpSync(after.in(path), it.folder.in(path));
        else draft(path);
      }
      const former = changed[moved - 1];
      if (former !== undefined) cpSync(before.in(former), it.folder.in(`${former}.former`));
      writeFileSync(list, JSON.stringify({ replaced: changed, destroyed: [] }), { mode: 0o600 });
      assert.deepEqual([await it.opens(a), await it.opens(b)], [false, true], `${moved} moved`);
      assert.deepEqual(leftOvers(it.folder), []);
    }
  });

  describe("that is killed", () => {
    let it: Changing;
    let tookMs = 0;
    /** Whose passphrase opens the deployment, and the other one. */
    let [now, next]: ["a" | "b", "a" | "b"] = ["a", "b"];

    const begin = () => {
      const child = spawn(process.execPath, [main, "once", it.folder.deployment], {
        stdio: ["pipe", "ignore", "ignore"],
        env: it.environment(now),
      });
      const wanted = { to: "passphrase", passphrase: passphrases[next] };
      child.stdin.end(`${JSON.stringify({ command: "keys.change", arguments: wanted })}\n`);
      return { child, ended: once(child, "exit") };
    };
    const check = async () => {
      const isFormer = await it.opens(it.environment(now));
      const isNew = await it.opens(it.environment(next));
      assert.notEqual(isFormer, isNew);
      if (isNew) [now, next] = [next, now];
    };

    before(async () => {
      it = await Changing.make();
      await it.change({ to: "passphrase", passphrase: passphrases.a }, it.environment("none"));
      const began = Date.now();
      await begin().ended;
      tookMs = Date.now() - began;
      await check();
    });
    after(() => it[Symbol.dispose]());

    for (const share of [0.6, 0.7, 0.8, 0.9, 1]) {
      test(`after ${share} of its time, leaves one passphrase, the former or the new one, to open everything`, async () => {
        const { child, ended } = begin();
        await Promise.race([ended, delay(tookMs * share)]);
        child.kill("SIGKILL");
        await ended;
        await check();
      });
    }
  });

  test("destroys the former key-encryption keys also when it was cut off while it did so", async () => {
    using it = await Changing.make();
    using before = new Copy(it.folder.deployment);
    await it.change({ to: "passphrase", passphrase: passphrases.a }, it.environment("none"));
    const destroyed = ["control/kek.key", "broker/kek.key"];
    cpSync(before.in("broker/kek.key"), it.folder.in("broker/kek.key"));
    writeFileSync(it.folder.in("control/kek.key"), Buffer.alloc(65), { mode: 0o600 });
    const list = it.folder.in("control/keys-change.json");
    writeFileSync(list, JSON.stringify({ replaced: [], destroyed }), { mode: 0o600 });
    assert.ok(await it.opens(it.environment("a")));
    for (const path of destroyed) assert.ok(!existsSync(it.folder.in(path)), path);
  });
});

/** What must not be left when a change is over. */
function leftOvers(folder: TestFolder): readonly string[] {
  return readdirSync(folder.deployment, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.(next|former)$|keys-change/.test(name),
  );
}

/** A copy of a folder as it is now. */
class Copy extends TestFolder {
  readonly #of: string;

  constructor(of: string) {
    super();
    this.#of = of;
    cpSync(of, this.deployment, { recursive: true });
  }

  putBack(): void {
    rmSync(this.#of, { recursive: true });
    cpSync(this.deployment, this.#of, { recursive: true });
  }
}
