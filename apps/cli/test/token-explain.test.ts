import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deployment, wardmq } from "./wardmq.ts";

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("token explain", () => {
  let made: Awaited<ReturnType<typeof deployment>>;
  let certificate: string;
  before(async () => {
    made = await deployment();
    certificate = join(made.directory, "control/issuing-ca.pem");
    const issuers = `issuers:
  idp: { issuer: "https://idp.example", audience: wardmq, jwksUri: "https://127.0.0.1:1/" }
`;
    writeFileSync(join(made.directory, "issuers.yaml"), issuers);
  });
  after(() => made[Symbol.asyncDispose]());

  const explain = (text: string, ...more: readonly string[]) => {
    const file = join(made.parent, "token.txt");
    writeFileSync(file, text);
    return wardmq(["token", "explain", made.directory, "--file", file, ...more]);
  };
  const bound = () => {
    const { raw } = new X509Certificate(readFileSync(certificate));
    return createHash("sha256").update(raw).digest("base64url");
  };
  const tokenOf = (claims: object) =>
    `${part({ alg: "ES256" })}.${part({ iss: "https://idp.example", ...claims })}.AAAA`;

  test("repeats no token that is an argument, and says where one is given", async () => {
    const jwt = tokenOf({ padding: "x".repeat(300) });
    for (const token of [jwt, "mF_9.B5f-4.1JqM", "secret"]) {
      for (const words of [[token], [made.directory, token], [token, made.directory]]) {
        const { code, stdout, stderr } = await wardmq(["token", "explain", ...words]);
        assert.equal(code, 2);
        assert.ok(!`${stdout}${stderr}`.includes(token), stderr);
        assert.match(stderr, /is given on standard input or by --file, never as an argument/);
      }
    }
  });

  test("says of what is too long that it is, however long", async () => {
    for (const length of [8_193, 100_000]) {
      const { code, stdout, stderr } = await explain("x".repeat(length));
      assert.equal(code, 1, stderr);
      assert.equal(
        stdout,
        `FAIL size       ${length} characters; expected at most 8192 characters\n`,
      );
      assert.match(stderr, /the token is refused by size/);
    }
  });

  test("judges a binding by the certificate it is told, and says that it can not without", async () => {
    const cnf = { "x5t#S256": bound() };
    const lineOf = async (claims: object, ...more: readonly string[]) => {
      const { stdout } = await explain(tokenOf(claims), ...more);
      return stdout.split("\n").find((line) => line.includes(" cnf "));
    };
    const unknown = await lineOf({ cnf });
    assert.match(unknown ?? "", /^ {2}- {2}cnf .*x5t#S256.*; expected .*--certificate names$/);
    assert.match((await lineOf({ cnf }, "--certificate", certificate)) ?? "", /^ok {3}cnf /);
    const other = { cnf: { "x5t#S256": "AAAA" } };
    assert.match((await lineOf(other, "--certificate", certificate)) ?? "", /^FAIL cnf /);
    const none = await explain("x", "--certificate", join(made.directory, "wardmq.yaml"));
    assert.equal(none.code, 2);
    assert.match(none.stderr, /wardmq\.yaml holds no certificate in PEM/);
  });

  test("does not say that there is no issuer where none has an api", async () => {
    const { stdout } = await explain(tokenOf({}), "--api");
    assert.match(
      stdout,
      /FAIL iss .*an issuer of issuers\.yaml whose tokens count here, and none is/,
    );
  });
});
