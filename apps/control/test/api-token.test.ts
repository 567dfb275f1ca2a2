import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { SecurityEvent } from "@wardmq/events";
import {
  apiAudience,
  issuersText,
  startTestProvider,
  type TestProvider,
} from "../../../test/support/identity-provider.ts";
import { newDeployment, RunningControl, type TestFolder } from "./control-under-test.ts";
import {
  type Answer,
  ask,
  type Credential,
  call,
  credentialOfOperator,
  newOperator,
} from "./https-client.ts";

const api = `    api:
      audience: ${apiAudience}
      roles:
        - { role: viewer, claim: groups, value: nurses }
        - { role: operator, claim: groups, value: technicians }
        - { role: security-officer, claim: groups, value: security, amr: [mfa] }
        - { role: viewer, claim: groups, value: apps }
        - { role: security-officer, claim: groups, value: apps }
      stepUp:
        - { commands: [revoke], amr: [mfa] }
`;
const accounts = {
  nurse: { groups: ["nurses"], amr: ["pwd"] },
  technician: { groups: ["technicians"], amr: ["pwd"] },
  chief: { groups: ["technicians"], amr: ["pwd", "mfa"] },
  alice: { groups: ["security"], amr: ["pwd", "mfa"] },
  bob: { groups: ["security"], amr: ["pwd", "mfa"] },
  weak: { groups: ["security"], amr: ["pwd"] },
  cleaner: { groups: [] },
};

let folder: TestFolder;
let control: RunningControl;
let provider: TestProvider;
/** Every token that was sent, and a part of each that nothing may repeat. */
const sent: string[] = [];

before(async () => {
  provider = await startTestProvider({ accounts });
  folder = await newDeployment();
  writeFileSync(folder.in("issuers.yaml"), issuersText(provider, "idp.pem", api));
  writeFileSync(folder.in("idp.pem"), provider.ca);
  control = await RunningControl.start(folder.deployment);
  await keysFetched();
});
after(async () => {
  await control?.end();
  await provider?.[Symbol.asyncDispose]();
  folder?.[Symbol.dispose]();
});

async function keysFetched(): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await lastEvents()).some(({ type }) => type === "issuer-keys-changed")) return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error("the keys never came");
}

async function lastEvents(): Promise<readonly SecurityEvent[]> {
  return (await control.result("events", { last: 1000 })).events as readonly SecurityEvent[];
}

async function lastEvent(type: string): Promise<SecurityEvent | undefined> {
  return (await lastEvents()).findLast((event) => event.type === type);
}

async function logIn(account: string, scope?: string): Promise<string> {
  const { access_token: token } = await provider.logIn(account, scope, apiAudience);
  sent.push(token);
  return token;
}

interface From {
  readonly body?: object;
  readonly credential?: Credential;
  readonly headers?: Readonly<Record<string, string>>;
}

function callWith(token: string, route: string, { body, credential, headers }: From = {}) {
  return call(control, credential, route, body, { authorization: `Bearer ${token}`, ...headers });
}

function code({ json }: Answer): unknown {
  return json["code"];
}

describe("the API refuses", () => {
  test("whoever has neither a certificate nor a token, before it reads a body", async () => {
    const answer = await call(control, undefined, "POST /v1/devices", { nobody: "x" });
    assert.deepEqual([answer.status, code(answer)], [401, "ERR_UNAUTHENTICATED"]);
    assert.equal(answer.headers["www-authenticate"], 'Bearer error="invalid_token"');
    assert.equal((await lastEvent("request-refused"))?.check, "credential");
  });

  const bad: readonly (readonly [string, () => Promise<string> | string, string])[] = [
    ["a token that is none", () => "secret", "token-structure"],
    [
      "a token for the brokers",
      async () => (await provider.logIn("alice")).access_token,
      "token-aud",
    ],
    ["a person without a role", () => logIn("cleaner"), "token-roles"],
    ["a role whose MFA is missing", () => logIn("weak"), "token-roles"],
    [
      "a token whose scopes leave another role",
      () => logIn("alice", "openid wardmq:role:viewer"),
      "token-roles",
    ],
    [
      "a token whose scopes leave a part of MQTT",
      () => logIn("nurse", "openid wardmq:subscribe"),
      "token-scope",
    ],
    [
      "a token that was cut off",
      async () => (await logIn("alice")).slice(0, -8),
      "token-structure|token-signature",
    ],
  ];
  for (const [what, make, check] of bad) {
    test(`${what}, with one answer for all`, async () => {
      const token = await make();
      sent.push(token);
      const answer = await callWith(token, "GET /v1/subjects");
      assert.equal(answer.status, 401, answer.text);
      assert.equal(answer.json["title"], "the token was refused");
      const event = await lastEvent("request-refused");
      assert.match(String(event?.check), new RegExp(`^(${check})$`));
    });
  }

  test("and counts whose it said it was, as for brokers", async () => {
    for (const [token, subject] of [
      [await logIn("cleaner"), "person:idp_cleaner"],
      [await logIn("nurse", "openid wardmq:subscribe"), "person:idp_nurse"],
    ] as const) {
      await callWith(token, "GET /v1/subjects");
      const details = (await lastEvent("request-refused"))?.details;
      assert.deepEqual(details, { issuer: "idp", claimed: subject });
      const { claimed } = await control.result("bans", {});
      assert.ok(claimed.some(({ of }) => of === `subject ${subject}`));
      assert.ok(claimed.some(({ of }) => of === "issuer idp"));
    }
  });

  test("a header that is no bearer token, and a token in the query", async () => {
    const token = await logIn("nurse");
    for (const authorization of [`Basic ${token}`, token, `Bearer ${token} ${token}`]) {
      const headers = { authorization };
      const answer = await call(control, undefined, "GET /v1/subjects", undefined, headers);
      assert.equal(answer.status, 401);
    }
    const inQuery = await ask(control, "api", `/v1/subjects?access_token=${token}`);
    assert.equal(inQuery.status, 401);
  });

  test("a revoked token at once, whatever its role", async () => {
    const token = await logIn("chief");
    assert.equal((await callWith(token, "GET /v1/subjects")).status, 200);
    await control.result("token.revoke", { subject: "person:idp_chief" });
    assert.equal((await callWith(token, "GET /v1/subjects")).status, 401);
    assert.equal((await lastEvent("request-refused"))?.check, "token-revoked");
  });
});

describe("a token operator", () => {
  test("has the role of the claims, and each call is an event with the person and no token", async () => {
    const token = await logIn("technician");
    const made = await callWith(token, "POST /v1/devices", { body: { site: "main", ward: "icu" } });
    assert.equal(made.status, 200, made.text);
    const refused = await callWith(await logIn("nurse"), "POST /v1/devices", {
      body: { site: "main", ward: "icu" },
    });
    assert.equal(code(refused), "ERR_FORBIDDEN");
    const [first] = (await lastEvents()).filter(({ type }) => type === "api-call").slice(-2);
    const { actor, person, token: hash } = first?.details ?? {};
    assert.deepEqual([actor, person], ["person:idp_technician", "person:idp_technician"]);
    assert.match(String(hash), /^[0-9a-f]{16}$/);
  });

  test("has to log in with MFA for a command that asks for it", async () => {
    const route = "POST /v1/subjects/service:none/revoke";
    const answer = await callWith(await logIn("technician"), route);
    assert.deepEqual([answer.status, code(answer)], [401, "ERR_STEP_UP"]);
    assert.match(String(answer.headers["www-authenticate"]), /insufficient_user_authentication/);
    const strong = await callWith(await logIn("alice"), route);
    assert.equal(code(strong), "ERR_SUBJECT_UNKNOWN");
  });

  test("is asked for nothing more than certificates are where no issuer has an api", async () => {
    using other = await newDeployment();
    await using closed = await RunningControl.start(other.deployment);
    await assert.rejects(ask(closed, "api", "/v1/subjects"));
  });
});

describe("two people", () => {
  const wanted = { name: "new-officer", role: "security-officer" } as const;
  const request = async (token: string) => {
    const asked = await callWith(token, "POST /v1/operators", { body: wanted });
    assert.equal(asked.status, 202, asked.text);
    return (asked.json["approval"] as { id: string }).id;
  };
  let officer: Credential;

  test("are not one person with two tokens", async () => {
    officer = await newOperator(control, "alice", "security-officer");
    const id = await request(await logIn("alice"));
    const answer = await callWith(await logIn("alice"), `POST /v1/approvals/${id}/approve`);
    assert.equal(code(answer), "ERR_APPROVAL_SAME_PERSON");
  });

  test("are not one person with a certificate and a token, as long as nobody has said who it is", async () => {
    const id = await request(await logIn("alice"));
    const answer = await call(control, officer, `POST /v1/approvals/${id}/approve`);
    assert.equal(code(answer), "ERR_APPROVAL_SAME_PERSON");
    assert.match(String(answer.json["hint"]), /operator link/);
  });

  test("are not an app and whoever runs it", async () => {
    const { access_token: app } = await provider.appToken(
      "reports",
      "a-secret-of-the-app",
      apiAudience,
    );
    const id = await request(app);
    const answer = await callWith(await logIn("bob"), `POST /v1/approvals/${id}/approve`);
    assert.equal(code(answer), "ERR_APPROVAL_SAME_PERSON");
  });

  test("are two subjects of one issuer", async () => {
    const asked = await callWith(await logIn("alice"), "PUT /v1/operators/operator:alice/person", {
      body: { person: "person:idp_alice" },
    });
    const { id } = asked.json["approval"] as { id: string };
    const done = await callWith(await logIn("bob"), `POST /v1/approvals/${id}/approve`);
    assert.equal(done.status, 200, done.text);
    const { operators } = await control.result("operator.list", {});
    assert.equal(operators.find(({ id }) => id === "operator:alice")?.person, "person:idp_alice");
  });

  test("are an operator and a person only where the person is another operator", async () => {
    const token = await logIn("alice");
    const own = await call(control, officer, "POST /v1/operators", wanted);
    const { id } = own.json["approval"] as { id: string };
    const answer = await callWith(token, `POST /v1/approvals/${id}/approve`);
    assert.equal(code(answer), "ERR_APPROVAL_SAME_PERSON", "one person, two ways");
    const bob = await callWith(await logIn("bob"), `POST /v1/approvals/${id}/approve`);
    assert.equal(code(bob), "ERR_APPROVAL_SAME_PERSON", "bob may be any operator");
  });

  test("keep a token and another person's certificate apart", async () => {
    const token = await logIn("alice");
    assert.equal((await callWith(token, "GET /v1/subjects", { credential: officer })).status, 200);
    const other = await callWith(await logIn("bob"), "GET /v1/subjects", { credential: officer });
    assert.equal(other.status, 401);
    assert.equal((await lastEvent("request-refused"))?.check, "one-person");
  });

  test("cannot use a token that is bound to a certificate with another one, or without", async () => {
    const second = await credentialOfOperator(control, "alice");
    const hash = createHash("sha256").update(new X509Certificate(officer.cert).raw);
    const unbound = accounts.alice;
    const cnf = { "x5t#S256": hash.digest("base64url") };
    Object.assign(accounts, { alice: { ...unbound, cnf } });
    const token = await logIn("alice");
    Object.assign(accounts, { alice: unbound });
    const asked = (credential?: Credential) =>
      callWith(token, "GET /v1/subjects", credential === undefined ? {} : { credential });
    assert.equal((await asked(officer)).status, 200);
    for (const credential of [second, undefined]) {
      assert.equal((await asked(credential)).status, 401);
      assert.equal((await lastEvent("request-refused"))?.check, "token-cnf");
    }
  });

  test("lose the role of an operator who is revoked, by token too", async () => {
    const token = await logIn("alice");
    await callWith(await logIn("bob"), "POST /v1/operators/operator:alice/revoke");
    assert.equal((await callWith(token, "GET /v1/subjects")).status, 401);
    assert.equal((await lastEvent("request-refused"))?.check, "subject-active");
  });

  test("need a second certificate holder after all where nobody has a token", async () => {
    await assert.rejects(credentialOfOperator(control, "alice"));
  });
});

describe("whoever tries tokens", () => {
  test("waits, and is held off after fifty from one address; a certificate comes in as before", async () => {
    const officer = await newOperatorByTwo();
    const tries = Array.from({ length: 60 }, () => callWith("nonsense", "GET /v1/subjects"));
    for (const { status } of await Promise.all(tries)) assert.ok([401, 429].includes(status));
    assert.equal((await lastEvent("tokens-banned"))?.listener, "api");
    const { bans } = await control.result("bans", {});
    assert.equal(bans[0]?.of, "address 127.0.0.1");
    const good = await callWith(await logIn("nurse"), "GET /v1/subjects");
    assert.equal(good.status, 401);
    assert.equal((await call(control, officer, "GET /v1/subjects")).status, 200);
  });

  async function newOperatorByTwo(): Promise<Credential> {
    const token = await logIn("bob");
    const asked = await callWith(token, "POST /v1/operators", {
      body: { name: "carol", role: "viewer" },
    });
    // The owner of the folder is the second person.
    const { id } = asked.json["approval"] as { id: string };
    await control.result("approvals.approve", { id });
    return credentialOfOperator(control, "carol");
  }
});

test("no token stands in any event or output", async () => {
  const text = `${JSON.stringify(await lastEvents())}${control.said}`;
  assert.ok(sent.length > 10);
  for (const token of sent.filter(({ length }) => length > 20)) {
    for (const part of token.split(".")) assert.ok(part.length < 60 || !text.includes(part));
  }
});
