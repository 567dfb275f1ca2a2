import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, test } from "node:test";

const repository = join(import.meta.dirname, "..");

/** Who may import which other workspace. Arrows point from apps to packages, never back, and no app knows another. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "apps/broker": [
    "@wardmq/mqtt",
    "@wardmq/policy",
    "@wardmq/x509",
    "@wardmq/feed",
    "@wardmq/events",
    "@wardmq/keys",
    "@wardmq/sealing",
    "@wardmq/tls",
    "@wardmq/tokens",
  ],
  "apps/control": [
    "@wardmq/tokens",
    "@wardmq/policy",
    "@wardmq/x509",
    "@wardmq/feed",
    "@wardmq/events",
    "@wardmq/config",
    "@wardmq/commands",
    "@wardmq/keys",
    "@wardmq/sealing",
    "@wardmq/tls",
  ],
  "apps/cli": [
    "@wardmq/policy",
    "@wardmq/x509",
    "@wardmq/feed",
    "@wardmq/events",
    "@wardmq/config",
    "@wardmq/commands",
    "@wardmq/keys",
    "@wardmq/tokens",
    "@wardmq/mqtt-js",
  ],
  "apps/idp": ["@wardmq/config", "@wardmq/x509"],
  "apps/ward": ["@wardmq/events", "@wardmq/mqtt-js"],
  "packages/commands": ["@wardmq/x509"],
  "packages/config": ["@wardmq/events", "@wardmq/feed"],
  "packages/events": [],
  "packages/feed": ["@wardmq/events", "@wardmq/tokens", "@wardmq/x509"],
  "packages/keys": ["@wardmq/sealing", "@wardmq/x509", "@wardmq/events"],
  "packages/mqtt": [],
  "packages/policy": ["@wardmq/mqtt", "@wardmq/events"],
  "packages/tokens": ["@wardmq/events"],
  "packages/sealing": [],
  "packages/tls": ["@wardmq/events"],
  "packages/x509": [],
  "sdk/mqtt-js": [],
};

/** Who may import which package of npm. Each is a decision: packages have as few as can be. */
const mayInstall: Readonly<Record<string, readonly string[]>> = {
  "apps/cli": ["commander", "mqtt"],
  "apps/control": ["fastify", "zod"],
  "apps/idp": ["oidc-provider"],
  "apps/ward": ["mqtt"],
  "packages/commands": ["zod"],
  "packages/config": ["yaml"],
  "packages/keys": ["pkcs11js"],
  "packages/policy": ["yaml"],
  "packages/tokens": ["jose", "yaml", "zod"],
  "sdk/mqtt-js": ["mqtt"],
};

/** Which package may import what of the runtime. Each is a decision: the others are values in, values out. */
const mayUseOfTheRuntime: Readonly<Record<string, readonly string[]>> = {
  "packages/keys": ["node:crypto", "node:fs", "node:module", "node:path"],
  "packages/sealing": ["node:crypto"],
};

interface Import {
  readonly from: string;
  readonly workspace: string;
  readonly what: string;
}

/** Files below src: what is installed. Tests and tools may import what they test with. */
const imports: readonly Import[] = Object.keys(mayImport).flatMap((workspace) =>
  sourcesBelow(join(workspace, "src")).flatMap((from) =>
    importsOf(readFileSync(join(repository, from), "utf8")).map((what) => ({
      from,
      workspace,
      what,
    })),
  ),
);

function sourcesBelow(folder: string): string[] {
  return readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" })
    .map((path) => join(folder, path))
    .filter((path) => /\.m?[jt]s$/.test(path));
}

/** Static, dynamic and type imports, and re-exports. */
function importsOf(text: string): string[] {
  const statement = /(?:^|[;\n}])\s*(?:import|export)\s[^"';]*?from\s*["']([^"']+)["']/g;
  const bare = /(?:^|[;\n])\s*import\s*["']([^"']+)["']/g;
  const call = /\bimport\(\s*["']([^"']+)["']/g;
  return [statement, bare, call].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, specifier = ""]) => specifier),
  );
}

const isRelative = (what: string) => what.startsWith(".");
const isRuntime = (what: string) => what.startsWith("node:") || what.startsWith("bun:");
const isWorkspace = (what: string) => what.startsWith("@wardmq/") || what === "wardmq";

/** `@wardmq/policy` of `@wardmq/policy/compile`. */
const packageOf = (what: string) => what.split("/").slice(0, 2).join("/");

/** Each offence in one line, so that a failure says where to go. */
function offences(isOffence: (one: Import) => boolean): string[] {
  return imports.filter(isOffence).map(({ from, what }) => `${from} imports ${what}`);
}

describe("the import table", () => {
  test("names every workspace, and no other", () => {
    const folders = ["apps", "packages", "sdk"].flatMap((parent) =>
      readdirSync(join(repository, parent)).map((name) => `${parent}/${name}`),
    );
    const workspaces = folders.filter((folder) =>
      existsSync(join(repository, folder, "package.json")),
    );
    assert.deepEqual(Object.keys(mayImport).sort(), workspaces.sort());
  });

  test("reads imports of every kind", () => {
    const text = `import "a";
import type { B } from "b";
import {
  c,
} from 'c';
export * from "d";
const e = await import("e");
type F = import("f").F;`;
    assert.deepEqual(importsOf(text).sort(), ["a", "b", "c", "d", "e", "f"]);
  });

  test("finds something to check in every workspace", () => {
    const seen = new Set(imports.map(({ workspace }) => workspace));
    const without = Object.keys(mayImport).filter((workspace) => !seen.has(workspace));
    assert.deepEqual(without, []);
  });

  test("lets no workspace import another that it does not list", () => {
    const isUnlisted = ({ workspace, what }: Import) =>
      isWorkspace(what) && !mayImport[workspace]?.includes(packageOf(what));
    assert.deepEqual(offences(isUnlisted), []);
  });

  test("lets nobody import an app", () => {
    const apps = readdirSync(join(repository, "apps")).map((app) => `@wardmq/${app}`);
    assert.deepEqual(
      offences(({ what }) => apps.includes(what) || what === "wardmq"),
      [],
    );
  });

  test("lets no package of npm in that is not listed", () => {
    const isUnlisted = ({ workspace, what }: Import) =>
      !isRelative(what) &&
      !isRuntime(what) &&
      !isWorkspace(what) &&
      !mayInstall[workspace]?.includes(what);
    assert.deepEqual(offences(isUnlisted), []);
  });
});

/** Doors beside src/index.ts: the broker decides and never parses a file, so it leaves the YAML parser out. */
const sideDoors = ["@wardmq/policy/compile", "@wardmq/tokens/verify"];

describe("a workspace", () => {
  test("is entered through the doors it declares only", () => {
    assert.deepEqual(
      offences(({ what }) => /^@wardmq\/[^/]+\//.test(what) && !sideDoors.includes(what)),
      [],
    );
    for (const workspace of Object.keys(mayImport).filter((name) => name.startsWith("packages/"))) {
      const { exports } = JSON.parse(
        readFileSync(join(repository, workspace, "package.json"), "utf8"),
      );
      const doors = typeof exports === "string" ? { ".": exports } : exports;
      const { ".": main, ...others } = doors;
      assert.equal(main, "./src/index.ts", workspace);
      const declared = Object.keys(others).map(
        (door) => `@wardmq${workspace.slice("packages".length)}${door.slice(1)}`,
      );
      assert.deepEqual(
        declared,
        sideDoors.filter((door) => declared.includes(door)),
        workspace,
      );
      assert.ok(existsSync(join(repository, workspace, "src/index.ts")), workspace);
    }
  });

  test("does not reach out of its folder by a relative path", () => {
    const reachesOut = ({ from, workspace, what }: Import) =>
      isRelative(what) &&
      relative(workspace, resolve("/", dirname(from), what).slice(1)).startsWith("..");
    assert.deepEqual(offences(reachesOut), []);
  });

  test("under packages is pure: it imports nothing of the runtime but what its purpose is", () => {
    const isUnlisted = ({ workspace, what }: Import) =>
      workspace.startsWith("packages/") &&
      isRuntime(what) &&
      !mayUseOfTheRuntime[workspace]?.includes(what);
    assert.deepEqual(offences(isUnlisted), []);
  });

  test("imports from node: only, and nothing that Bun alone has", () => {
    assert.deepEqual(
      offences(({ what }) => what.startsWith("bun")),
      [],
    );
    const files = Object.keys(mayImport).flatMap((workspace) =>
      sourcesBelow(join(workspace, "src")),
    );
    const others = files.filter((path) =>
      /\bBun\.\w/.test(readFileSync(join(repository, path), "utf8")),
    );
    assert.deepEqual(others, []);
  });

  test("does not write to the console or read the clock in packages", () => {
    const impure = /\bconsole\.\w+\(|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\./;
    const files = Object.keys(mayImport)
      .filter((workspace) => workspace.startsWith("packages/"))
      .flatMap((workspace) => sourcesBelow(join(workspace, "src")));
    const found = files.filter((path) => impure.test(readFileSync(join(repository, path), "utf8")));
    assert.deepEqual(found, []);
  });
});
