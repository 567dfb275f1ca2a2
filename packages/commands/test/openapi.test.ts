import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  apiDocument,
  apiRoutes,
  type CommandTable,
  commands,
  openApiDocument,
} from "../src/index.ts";

type Json = Readonly<Record<string, unknown>>;
const document = JSON.parse(JSON.stringify(openApiDocument(commands))) as {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Json>>>>;
  readonly components: Json & { readonly securitySchemes: Readonly<Record<string, Json>> };
  readonly security: readonly Json[];
};
const table: CommandTable = commands;

/** Every object in a value, with the path to it. */
function* objectsIn(value: unknown, path = "#"): Generator<readonly [string, Json]> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield [path, value as Json];
  for (const [key, part] of Object.entries(value)) yield* objectsIn(part, `${path}/${key}`);
}

describe("the OpenAPI document", () => {
  test("is of version 3.1 and has an operation for every route, and no other", () => {
    assert.match(document.openapi, /^3\.1\.\d$/);
    const found = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { operationId }]) =>
        [operationId, method, path].join(" "),
      ),
    );
    const wanted = apiRoutes(commands).map(({ name, method, path }) =>
      [name, method.toLowerCase(), path].join(" "),
    );
    assert.deepEqual(found.sort(), wanted.sort());
  });

  test("has operations with what 3.1 requires of one", () => {
    for (const [path, item] of Object.entries(document.paths)) {
      assert.match(path, /^\/v1\/[\w/{}-]+$/);
      for (const { parameters, responses, summary } of Object.values(item)) {
        assert.ok(typeof summary === "string" && summary !== "", path);
        const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const inPath = (parameters as Json[]).filter((one) => one["in"] === "path");
        assert.deepEqual(
          inPath.map(({ name }) => name),
          names,
        );
        for (const one of parameters as Json[]) {
          assert.ok(["path", "query", "header"].includes(String(one["in"])));
          assert.ok(one["in"] !== "path" || one["required"] === true, path);
          assert.equal(typeof one["schema"], "object");
        }
        for (const response of Object.values(responses as Record<string, Json>))
          assert.equal(typeof response["description"], "string");
      }
    }
  });

  test("lets a call come with a certificate or with a bearer token, and with nothing else", () => {
    assert.deepEqual(document.security, [{ clientCertificate: [] }, { bearerAuth: [] }]);
    const schemes = Object.entries(document.components.securitySchemes);
    assert.deepEqual(
      schemes.map(([name, { type, scheme, bearerFormat }]) => [name, type, scheme, bearerFormat]),
      [
        ["clientCertificate", "mutualTLS", undefined, undefined],
        ["bearerAuth", "http", "bearer", "JWT"],
      ],
    );
    for (const [name, { description }] of schemes) assert.equal(typeof description, "string", name);
  });

  test("refers to nothing that is not there", () => {
    const known = new Set([...objectsIn(document)].map(([path]) => path));
    for (const [path, { $ref }] of objectsIn(document))
      if (typeof $ref === "string") assert.ok(known.has($ref), `${path} refers to ${$ref}`);
  });

  test("has examples that the commands take", () => {
    for (const route of apiRoutes(commands)) {
      const operation = document.paths[route.path]?.[route.method.toLowerCase()];
      const body = [...objectsIn(operation?.["requestBody"])].find(([, { examples }]) => examples);
      if (body === undefined) continue;
      const { arguments: all } = table[route.name] ?? {};
      for (const example of body[1]["examples"] as Json[]) {
        const wrong = Object.entries(example).filter(
          ([key, value]) => !all?.shape[key]?.safeParse(value).success,
        );
        assert.deepEqual(wrong, [], route.name);
      }
    }
  });
});

test("docs/api.md is what the table of commands says", () => {
  const page = readFileSync(new URL("../../../docs/api.md", import.meta.url), "utf8");
  assert.equal(page, apiDocument(commands), "npm run docs");
});
