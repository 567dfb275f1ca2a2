import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type CommandDefinition,
  commands,
  exampleArguments,
  mayCall,
  roles,
} from "../src/index.ts";

const rows: readonly (readonly [string, CommandDefinition])[] = Object.entries(commands);

describe("the table of commands", () => {
  for (const [name, command] of rows) {
    const ranks = ["authenticated", ...roles] as const;
    const least = command.role === "local" ? ranks.length : ranks.indexOf(command.role);
    const [refused, allowed] = [ranks.slice(0, least), ranks.slice(least)];

    test(`refuses ${name} to ${refused.join(", ") || "no role"}, and lets ${["local", ...allowed].join(", ")} give it`, () => {
      for (const role of refused) assert.equal(mayCall(role, command), false, role);
      for (const role of ["local" as const, ...allowed]) assert.ok(mayCall(role, command), role);
    });

    test(`refuses an argument that ${name} does not have`, () => {
      const { error } = command.arguments.safeParse({ nobodyKnows: 1 });
      assert.ok(error?.issues.some(({ code }) => code === "unrecognized_keys"));
    });

    test(`has an example for each argument of ${name}`, () => {
      const { success, error } = command.arguments.safeParse(exampleArguments(command));
      assert.ok(success, JSON.stringify(error?.issues));
    });

    if (command.role === "local") continue;
    test(`takes what is named in the path of ${name} from its arguments`, () => {
      for (const [, key = ""] of command.route.matchAll(/\{(.+?)\}/g)) {
        assert.ok(key in command.arguments.shape, key);
      }
    });
  }

  test("has one command for each route", () => {
    const routes = rows.flatMap(([, command]) =>
      command.role === "local" ? [] : [command.route.replace(/\{.+?\}/g, "{}")],
    );
    assert.deepEqual(routes, [...new Set(routes)]);
  });
});
