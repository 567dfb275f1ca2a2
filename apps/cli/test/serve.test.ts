import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { appendFile, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { getPriority } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import {
  deployment,
  type Ended,
  eventually,
  isAlive,
  type Running,
  readyPorts,
  serveWords,
  start,
  temporaryFolder,
  wardmq,
} from "./wardmq.ts";

async function pidOf(directory: string, name: "broker" | "control" | "serve"): Promise<number> {
  return Number(await readFile(join(directory, "run", `${name}.pid`), "utf8"));
}

function assertNothingStarted(directory: string, { stdout }: Ended): void {
  assert.equal(stdout, "");
  for (const name of ["broker", "control", "serve"]) {
    assert.equal(existsSync(join(directory, "run", `${name}.pid`)), false);
  }
}

describe("serve starts nothing", () => {
  const weakening: readonly (readonly [name: string, value: string])[] = [
    ["NODE_OPTIONS", "--no-deprecation"],
    ["BUN_OPTIONS", "--smol"],
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["NODE_EXTRA_CA_CERTS", "/tmp/more.pem"],
    ["NODE_EXTRA_CA_CERTS", "/etc/ssl/../../tmp/more.pem"],
    ["SSL_CERT_FILE", "/tmp/more.pem"],
    ["SSL_CERT_DIR", "/tmp"],
    ["SSLKEYLOGFILE", "/tmp/wardmq-no-keylog"],
    ["OPENSSL_CONF", "/dev/null"],
    ["NODE_DEBUG", "tls"],
  ];
  const shared = deployment(); // a refusal leaves it as it is, which is what is asserted
  after(async () => (await shared)[Symbol.asyncDispose]());
  for (const [name, value] of weakening) {
    test(`under ${name}=${value}`, async () => {
      const { directory } = await shared;
      const ended = await wardmq(serveWords(directory), { environment: { [name]: value } });
      assert.equal(ended.code, 2);
      assert.match(
        ended.stderr,
        new RegExp(`refusing to start while ${name} is set.*; unset ${name}`),
      );
      assertNothingStarted(directory, ended);
    });
  }

  test("with wrong settings, and names file, line, column and key of each", async () => {
    await using made = await deployment();
    const file = join(made.directory, "wardmq.yaml");
    await appendFile(file, "  connections: none\n  conections: 1\n");
    const ended = await wardmq(serveWords(made.directory));
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /wardmq\.yaml:\d+:16: limits\.connections: expected a whole number/);
    assert.match(
      ended.stderr,
      /wardmq\.yaml:\d+:3: limits\.conections: .*did you mean limits\.connections/,
    );
    assertNothingStarted(made.directory, ended);
  });

  test("with a wrong override, and names it", async () => {
    await using made = await deployment();
    for (const override of ["limits.connections=none", "limits.conections=1", "insecure=true"]) {
      const ended = await wardmq(serveWords(made.directory, "--set", override));
      assert.equal(ended.code, 2);
      assert.match(ended.stderr, new RegExp(`--set ${override.slice(0, override.indexOf("="))}: `));
      assertNothingStarted(made.directory, ended);
    }
  });

  test("with a wrong policy, and names line and column", async () => {
    await using made = await deployment();
    await writeFile(join(made.directory, "policy.yaml"), "roles: {}\nallow_anonymous: true\n");
    const ended = await wardmq(serveWords(made.directory));
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /policy\.yaml:2:1: /);
    assertNothingStarted(made.directory, ended);
  });

  for (const name of ["mqtts", "wss"]) {
    test(`where the port of ${name} is taken`, async () => {
      await using made = await deployment();
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        const { port } = server.address() as AddressInfo;
        const other = name === "mqtts" ? "wss" : "mqtts";
        const words = ["serve", made.directory, `--${name}`, String(port), `--${other}`, "0"];
        const ended = await wardmq(words);
        assert.equal(ended.code, 1);
        assert.match(
          ended.stderr,
          new RegExp(`another program listens on 127\\.0\\.0\\.1 port ${port}; .*--${name} PORT`),
        );
        assertNothingStarted(made.directory, ended);
      } finally {
        server.close();
      }
    });
  }

  test("on an address this machine does not have", async () => {
    await using made = await deployment();
    const ended = await wardmq(
      serveWords(made.directory, "--set", "listeners.mqtts.address=192.0.2.1"),
    );
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /192\.0\.2\.1 is no address of this machine/);
  });

  test("that stays when the broker's key cannot be read", async () => {
    await using made = await deployment();
    await writeFile(join(made.directory, "broker/server.key"), "no key\n");
    const ended = await wardmq(serveWords(made.directory));
    assert.notEqual(ended.code, 0);
    assert.match(ended.stderr, /server\.key/);
    assertNothingStarted(made.directory, ended);
  });
});

describe("serve", () => {
  test("says that it is ready when all ports accept, and ends in order with 0", async () => {
    await using made = await deployment();
    const other = join(made.parent, "other");
    await writeFile(other, "mine");
    await mkdir(join(made.directory, "run"), { recursive: true, mode: 0o700 });
    await symlink(other, join(made.directory, "run", "serve.pid"));
    const running = start(serveWords(made.directory, "--verbose"));
    for (const port of Object.values(await readyPorts(running)))
      assert.equal(await answersTls(port), true);
    const pids = await Promise.all([
      pidOf(made.directory, "broker"),
      pidOf(made.directory, "control"),
    ]);
    running.child.kill("SIGTERM");
    const { code, stdout, stderr } = await running.ended;
    assert.equal(code, 0, stderr);
    assert.equal(await readFile(other, "utf8"), "mine");
    assert.equal(stdout.split("\n").length, 2);
    assert.deepEqual(pids.map(isAlive), [false, false]);
    assert.equal(await lastEvent(made.directory, "broker-stopping"), true); // control outlived it
    assert.deepEqual(
      (await readdir(join(made.directory, "run"))).filter((name) => name.endsWith(".pid")),
      [],
    );
  });

  test("ends with 0 on Ctrl-C, also when it is pressed twice, also while it starts", async () => {
    await using made = await deployment();
    // The whole group gets it, twice: still the broker ends first, and control hears of it.
    const served = start(serveWords(made.directory), { leadsGroup: true });
    await readyPorts(served);
    const group = -(served.child.pid ?? assert.fail());
    process.kill(group, "SIGINT");
    process.kill(group, "SIGINT");
    assert.equal((await served.ended).code, 0);
    assert.equal(await lastEvent(made.directory, "broker-stopping"), true);
    const starting = start(serveWords(made.directory, "--verbose"));
    await eventually(
      "control is started",
      () => /control is process/.exec(starting.output().stderr) ?? undefined,
    );
    starting.child.kill("SIGINT");
    const { code, stderr } = await starting.ended;
    assert.equal(code, 0, stderr);
    assert.equal(existsSync(join(made.directory, "run/control.pid")), false);
  });

  test("refuses to serve a deployment twice", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    const { code, stderr } = await wardmq(serveWords(made.directory));
    assert.equal(code, 1);
    assert.match(stderr, /is being served already/);
  });

  test("answers commands through its socket, and two at once", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    const added = await Promise.all(
      ["a", "b"].map((name) => wardmq(["service", "add", made.directory, name])),
    );
    assert.deepEqual(
      added.map(({ code }) => code),
      [0, 0],
    );
    const revoked = await wardmq(["revoke", made.directory, "service:a"]);
    assert.match(revoked.stdout, /the broker closed 0 connections, .* in \d/);
  });

  test("lets neither part write a core dump, and has none of its own or theirs hold memory", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    const about = async (name: "broker" | "control" | "serve", file: string) =>
      readFile(`/proc/${await pidOf(made.directory, name)}/${file}`, "utf8");
    for (const name of ["broker", "control"] as const)
      assert.match(await about(name, "limits"), /^Max core file size +0 +0 /m, name);
    for (const name of ["serve", "broker", "control"] as const)
      assert.match(await about(name, "coredump_filter"), /^0+\n$/, name);
  });

  test("takes nothing from commands that are given while it starts and ends", async () => {
    await using made = await deployment();
    const names = ["a", "b", "c", "d", "e", "f"];
    const add = (name: string) => wardmq(["service", "add", made.directory, name]);
    const early = names.slice(0, 3).map(add);
    const served = start(serveWords(made.directory));
    const during = names.slice(3).map(add);
    await readyPorts(served);
    const added = await Promise.all([...early, ...during]);
    assert.deepEqual(
      added.map(({ code, stderr }) => [code, stderr]),
      names.map(() => [0, ""]),
    );
    served.child.kill("SIGTERM");
    await served.ended;
    const { stdout } = await wardmq(["list", made.directory, "--json"]);
    assert.equal(JSON.parse(stdout).length, names.length);
  });

  test("works in a folder whose path is longer than a socket's may be", async () => {
    await using folder = await temporaryFolder();
    const directory = join(folder.path, "a".repeat(100), "b".repeat(100));
    await wardmq(["init", directory, "--org", "a", "--host", "localhost"]);
    await using served = start(serveWords(directory));
    await readyPorts(served);
    assert.equal((await wardmq(["service", "add", directory, "a"])).code, 0);
  });

  test("reads the files again on SIGHUP, and keeps the last good ones", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    const policy = join(made.directory, "policy.yaml");
    await writeFile(policy, "roles: {}\nbindings: []\n");
    served.child.kill("SIGHUP");
    await eventually("the new policy is read", () => lastEvent(made.directory, "policy-changed"));
    await writeFile(policy, "broken: [\n");
    served.child.kill("SIGHUP");
    await eventually("the broken policy is refused", () =>
      lastEvent(made.directory, "policy-refused"),
    );
    assert.equal(isAlive(await pidOf(made.directory, "broker")), true);
  });

  test("ends with 1 when the broker ends", async () => {
    await using made = await deployment();
    const served = start(serveWords(made.directory));
    await readyPorts(served);
    const control = await pidOf(made.directory, "control");
    process.kill(await pidOf(made.directory, "broker"), "SIGKILL");
    const { code, stderr } = await served.ended;
    assert.equal(code, 1);
    assert.match(stderr, /broker was ended by SIGKILL; everything ends/);
    assert.equal(isAlive(control), false);
  });

  test("starts control again when it ends, and the broker serves on", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    const { mqtts } = await readyPorts(served);
    const [broker, control] = [
      await pidOf(made.directory, "broker"),
      await pidOf(made.directory, "control"),
    ];
    process.kill(control, "SIGKILL");
    await eventually("control runs again", () => says(served, /control runs again/));
    assert.ok(says(served, /control was ended by SIGKILL; the broker serves on/));
    assert.notEqual(await pidOf(made.directory, "control"), control);
    assert.equal(await pidOf(made.directory, "broker"), broker);
    assert.equal(await answersTls(mqtts), true);
    assert.equal((await wardmq(["service", "add", made.directory, "a"])).code, 0);
  });

  test("says why control does not start again while its port is taken, and starts it when it is free", async (t) => {
    await using made = await deployment();
    const other = createServer();
    t.after(() => other.close());
    const listen = (port: number) => once(other.listen(port, "127.0.0.1"), "listening");
    await listen(0);
    const { port } = other.address() as AddressInfo;
    other.close();
    const words = serveWords(made.directory).toSpliced(-1, 1, String(port)); // the last is the API's
    await using served = start(words);
    await readyPorts(served);
    const control = await pidOf(made.directory, "control");
    process.kill(control, "SIGKILL");
    await eventually("control is gone", () => !isAlive(control) || undefined);
    await listen(port);
    await eventually("it is said", () => says(served, /port \d+: another program does; end it/));
    other.close();
    await eventually("control runs again", () => says(served, /control runs again/));
    assert.ok(!says(served, /EADDRINUSE|^ +at /m));
  });

  test("ends what a killed one has left behind, and starts", async () => {
    await using made = await deployment();
    const killed = start(serveWords(made.directory));
    await readyPorts(killed);
    const parts = [await pidOf(made.directory, "broker"), await pidOf(made.directory, "control")];
    process.kill(parts[0] ?? 0, "SIGSTOP"); // so that it cannot notice and end by itself
    killed.child.kill("SIGKILL");
    await eventually("the killed one is gone", () => killed.child.signalCode ?? undefined);
    await eventually("control is gone", () => !isAlive(parts[1] ?? 0) || undefined);
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    assert.ok(says(served, /ending the broker of a wardmq serve that was killed/));
    // Whoever inherits them takes its time to notice that they have ended.
    await eventually("both are gone", () => !parts.some(isAlive) || undefined);
  });

  test("reports a setting that is weaker than the default, and starts", async () => {
    await using made = await deployment();
    await using served = start(serveWords(made.directory, "--set", "tls.minVersion=TLSv1.2"));
    await readyPorts(served);
    assert.ok(says(served, /tls\.minVersion is TLSv1\.2: /));
  });

  test("starts where the machine's own trust store is named", async () => {
    await using made = await deployment();
    const environment = {
      NODE_EXTRA_CA_CERTS: "/etc/ssl/certs/ca-certificates.crt",
      SSL_CERT_DIR: "/etc/ssl/certs",
    };
    await using served = start(serveWords(made.directory), { environment });
    await readyPorts(served);
  });

  test("hands nothing of its environment to control and broker", async (t) => {
    if (!existsSync("/proc/self/environ")) return t.skip("this system does not show environments");
    await using made = await deployment();
    const environment = { NODE_EXTRA_CA_CERTS: "/etc/ssl/more.pem", SECRET: "1", LD_PRELOAD: "" };
    await using served = start(serveWords(made.directory), { environment });
    await readyPorts(served);
    for (const name of ["broker", "control"] as const) {
      const pid = await pidOf(made.directory, name);
      const variables = (await readFile(`/proc/${pid}/environ`, "utf8")).split("\0");
      const names = variables.filter((line) => line !== "").map((line) => line.split("=")[0]);
      assert.deepEqual(names.sort(), ["BUN_RUNTIME_TRANSPILER_CACHE_PATH", "MIMALLOC_PURGE_DELAY"]);
    }
  });

  test("has the runtime's own threads give way to the one that serves MQTT", async (t) => {
    if (!existsSync("/proc/self/task")) return t.skip("this system does not show threads");
    await using made = await deployment();
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    const pid = await pidOf(made.directory, "broker");
    // The first one serves MQTT; those named after Worker are ours, here the journal's.
    const isRuntimes = ({ id, name }: { id: number; name: string }) =>
      id !== pid && !name.startsWith("Worker");
    const threads = () =>
      readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
        try {
          const name = readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8");
          return [{ id: Number(thread), name, nice: getPriority(Number(thread)) }];
        } catch {
          return []; // it has ended
        }
      });
    const [own, giving] = [getPriority(pid), Math.min(19, getPriority(pid) + 10)];
    const seen = await eventually("they give way", () => {
      const all = threads();
      return all.every((one) => one.nice === (isRuntimes(one) ? giving : own)) ? all : undefined;
    });
    assert.ok(seen.some(isRuntimes));
    assert.ok(seen.some(({ name }) => name.startsWith("Worker")));
  });

  test("takes no code and no variables from the deployment's folder", async () => {
    await using made = await deployment();
    const file = (name: string) => join(made.directory, name);
    await writeFile(file("bunfig.toml"), 'preload = ["./evil.ts"]\n');
    await writeFile(file("evil.ts"), 'require("node:fs").writeFileSync("preloaded", "");\n');
    await writeFile(file(".env"), "NODE_TLS_REJECT_UNAUTHORIZED=0\n");
    await using served = start(serveWords(made.directory));
    await readyPorts(served);
    assert.equal(existsSync(file("preloaded")), false);
  });
});

function says(running: Running, pattern: RegExp): string | undefined {
  return pattern.exec(running.output().stderr)?.[0];
}

async function lastEvent(directory: string, type: string): Promise<true | undefined> {
  const { stdout } = await wardmq(["events", directory, "--json"]);
  const events = stdout.split("\n").filter((line) => line !== "");
  return events.some((line) => JSON.parse(line).type === type) || undefined;
}

/** Whether somebody there speaks TLS: without a client certificate it ends in an alert, later or sooner. */
function answersTls(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTls({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      rejectUnauthorized: false,
    });
    socket.on("secureConnect", () => resolve(true));
    socket.on("error", (error) => resolve(!("code" in error) || error.code !== "ECONNREFUSED"));
    socket.on("close", () => socket.destroy());
    socket.on("data", () => socket.destroy());
    socket.setTimeout(10_000, () => socket.destroy());
  });
}
