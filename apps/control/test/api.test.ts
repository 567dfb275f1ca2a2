import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import {
  apiRoutes,
  type CommandTable,
  commands,
  exampleArguments,
  mayCall,
  openApiDocument,
  type Role,
  roles,
} from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import fc from "fast-check";
import {
  newDeployment,
  newKey,
  RunningControl,
  requestFor,
  type TestFolder,
} from "./control-under-test.ts";
import {
  type Answer,
  ask,
  type Credential,
  call,
  credentialOfOperator,
  newOperator,
} from "./https-client.ts";

let folder: TestFolder;
let control: RunningControl;
const operators = {} as Record<Role | "second-officer", Credential>;

before(async () => {
  folder = await newDeployment();
  control = await RunningControl.start(folder.deployment);
  for (const role of roles) operators[role] = await newOperator(control, role, role);
  // The first officer is there, so the second needs an approval.
  const asked = await control.ask("operator.add", { name: "second", role: "security-officer" });
  assert.equal(asked.ok, false);
  const { approvals } = await control.result("approvals.list", {});
  await call(
    control,
    operators["security-officer"],
    `POST /v1/approvals/${approvals[0]?.id}/approve`,
  );
  operators["second-officer"] = await credentialOfOperator(control, "second");
});
after(async () => {
  await control?.end();
  folder[Symbol.dispose]();
});

async function lastEvents(): Promise<readonly SecurityEvent[]> {
  return (await control.result("events", { last: 1000 })).events as readonly SecurityEvent[];
}

function assertProblem({ headers, json, status }: Answer, code: string): void {
  assert.match(String(headers["content-type"]), /^application\/problem\+json/);
  assert.deepEqual([json["code"], json["status"]], [code, status]);
  assert.equal(json["type"], `urn:wardmq:error:${code}`);
  assert.match(String(json["title"]), /^[\x20-\x7e…]+$/);
}

describe("the door of the API", () => {
  test("lets nobody in without a certificate, and says so in an event", async () => {
    await assert.rejects(ask(control, "api", "/v1/subjects"));
    const found = (await lastEvents()).findLast(({ type }) => type === "handshake-refused");
    assert.deepEqual([found?.listener, found?.check], ["api", "client-certificate"]);
  });

  test("lets no device or service in", async () => {
    const key = newKey();
    const { id } = await control.result("service.add", { name: "dashboard" });
    const { certificateChain } = await control.result("credential", {
      subject: id,
      certificateRequest: await requestFor(key),
    });
    const pem = key.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const credential = { key: pem, cert: certificateChain };
    await assert.rejects(ask(control, "api", "/v1/subjects", { credential }));
    const found = (await lastEvents()).findLast(({ type }) => type === "handshake-refused");
    assert.equal(found?.check, "operator");
  });

  test("lets nobody in who asks for another host", async () => {
    const tls = { servername: "elsewhere.example", checkServerIdentity: () => undefined };
    await assert.rejects(
      ask(control, "api", "/v1/subjects", { credential: operators.viewer, tls }),
    );
    const found = (await lastEvents()).findLast(({ type }) => type === "handshake-refused");
    assert.equal(found?.check, "sni");
  });

  test("speaks no TLS 1.2", async () => {
    const tls = { maxVersion: "TLSv1.2" } as const;
    await assert.rejects(
      ask(control, "api", "/v1/subjects", { credential: operators.viewer, tls }),
    );
  });

  test("lets an operator in until the operator is revoked", async () => {
    const gone = await newOperatorOfOfficer("gone", "viewer");
    assert.equal((await call(control, gone, "GET /v1/subjects")).status, 200);
    await control.result("operator.revoke", { operator: "operator:gone" });
    await assert.rejects(call(control, gone, "GET /v1/subjects"));
  });
});

/** `operator.add` waits for a second person once there is an officer: two of them add one. */
async function newOperatorOfOfficer(name: string, role: Role): Promise<Credential> {
  const asked = await call(control, operators["security-officer"], "POST /v1/operators", {
    name,
    role,
  });
  const { id } = asked.json["approval"] as { id: string };
  const done = await call(control, operators["second-officer"], `POST /v1/approvals/${id}/approve`);
  assert.equal(done.status, 200, done.text);
  return credentialOfOperator(control, name);
}

describe("a role", () => {
  const table: CommandTable = commands;
  for (const route of apiRoutes(commands)) {
    const command = table[route.name];
    if (command === undefined) continue;
    const values = exampleArguments(command);
    const path = route.path.replace(/\{(\w+)\}/g, (_, key) =>
      encodeURIComponent(String(values[key])),
    );
    const only = (keys: readonly string[]) =>
      Object.fromEntries(Object.entries(values).filter(([key]) => keys.includes(key)));
    const query = new URLSearchParams(only(route.inQuery) as Record<string, string>);
    const where = `${route.method} ${path}${query.size > 0 ? `?${query}` : ""}`;
    const body = route.inBody.length > 0 ? only(route.inBody) : undefined;
    const refused = roles.filter((role) => !mayCall(role, command));
    const allowed = roles.filter((role) => mayCall(role, command));

    for (const role of refused) {
      test(`of ${role} may not give ${route.name}`, async () =>
        assertProblem(await call(control, operators[role], where, body), "ERR_FORBIDDEN"));
    }
    for (const role of allowed) {
      test(`of ${role} may give ${route.name}`, async () => {
        // Whatever comes of it: nobody has the examples' subjects, and some commands wait for a second person.
        const answer = await call(control, operators[role], where, body);
        assert.ok(answer.status !== 403 && answer.status < 500, answer.text);
        if (answer.status === 200) command.result.parse(answer.json);
      });
    }
  }
});

describe("a call", () => {
  test("is an event with who, what and what came of it, refused or done", async () => {
    const refused = { site: "a/b", ward: "icu" };
    await call(control, operators.operator, "POST /v1/devices", refused);
    await call(control, operators.viewer, "POST /v1/devices", { site: "main", ward: "icu" });
    const done = await call(control, operators.operator, "POST /v1/devices", {
      site: "main",
      ward: "icu",
    });
    const calls = (await lastEvents()).filter(({ type }) => type === "api-call").slice(-3);
    assert.deepEqual(
      calls.map(({ subject, details }) => [subject, details?.["actor"], details?.["code"]]),
      [
        ["device.add", "operator:operator", "ERR_ATTRIBUTE"],
        ["device.add", "operator:viewer", "ERR_FORBIDDEN"],
        [done.json["id"], "operator:operator", undefined],
      ],
    );
  });

  test("is refused where it has what nobody asked for: in body, query or path", async () => {
    const { operator } = operators;
    const device = { site: "main", ward: "icu" };
    for (const [route, body] of [
      ["POST /v1/devices", { ...device, admin: true }],
      ["POST /v1/devices?site=main", device],
      ["POST /v1/devices", [device]],
      ["POST /v1/devices", { site: { main: 1 }, ward: "icu" }],
      ["GET /v1/events?last=1&last=2", undefined],
      ["GET /v1/events?last=many", undefined],
      ["GET /v1/events", undefined],
      ["GET /v1/subjects?limit=0", undefined],
    ] as const) {
      const answer = await call(control, operator, route, body as object | undefined);
      assert.equal(answer.status, 400, `${route} ${answer.text}`);
      assertProblem(answer, "ERR_REQUEST");
    }
    assertProblem(await call(control, operator, "GET /v2/devices"), "ERR_ROUTE");
    for (const path of ["/v1/subjects/%zz", `/v1/subjects/${"x".repeat(300)}`, "/v1/subjects/%2"])
      assertProblem(await call(control, operator, `GET ${path}`), "ERR_ROUTE");
    const body = { credential: operator, method: "GET", body: "{}" };
    const headers = { "content-type": "application/json", "content-length": "2" };
    const read = await ask(control, "api", "/v1/subjects", { ...body, headers });
    assertProblem(read, "ERR_REQUEST");
    assertProblem(await call(control, operator, "DELETE /v1/devices"), "ERR_ROUTE");
  });

  test("is refused where the body is no JSON, and where it is too large", async () => {
    const ofType = (type: string, body: string | Buffer) =>
      ask(control, "api", "/v1/services", {
        credential: operators.operator,
        method: "POST",
        headers: { "content-type": type },
        body,
      });
    for (const [type, body] of [
      ["application/json", "{"],
      ["application/json", '{"__proto__":{"name":"x"}}'],
      ["application/json", '{"name":"x","name":"y"}'],
      ["application/json", '\u{feff}{"name":"x"}'],
      ["application/json", Buffer.from('{"name":"x\u00e9"}', "latin1")],
      ["text/plain", '{"name":"x"}'],
      ["application/xml", "<name>x</name>"],
    ] as const)
      assertProblem(await ofType(type, body), "ERR_REQUEST");
    const large = JSON.stringify({ name: "x".repeat(17 * 1024 * 1024) });
    // The answer may be lost when the server ends the connection before everything is sent.
    const answer = await ofType("application/json", large).catch(() => undefined);
    if (answer !== undefined) assertProblem(answer, "ERR_REQUEST");
  });

  test("of any form is answered below 500, and control goes on", async () => {
    const paths = apiRoutes(commands).map(({ path }) => path);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE"),
        fc.oneof(fc.constantFrom(...paths), fc.webPath()),
        fc.webQueryParameters(),
        fc.oneof(fc.json(), fc.string()),
        async (method, path, query, body) => {
          const { status, text } = await ask(
            control,
            "api",
            `${path === "" ? "/" : path}?${query}`,
            {
              credential: operators.viewer,
              method,
              headers: { "content-type": "application/json" },
              ...(method === "GET" ? {} : { body }),
            },
          );
          assert.ok(status >= 200 && status < 500, `${status} ${text}`);
        },
      ),
      { numRuns: 60 },
    );
    assert.equal((await call(control, operators.viewer, "GET /v1/subjects")).status, 200);
  });
});

describe("a command that needs a second person", () => {
  const wanted = { name: "new-officer", role: "security-officer" } as const;
  const request = async (credential = operators["security-officer"]) => {
    const asked = await call(control, credential, "POST /v1/operators", wanted);
    assert.equal(asked.status, 202, asked.text);
    return (asked.json["approval"] as { id: string }).id;
  };
  const operatorIds = async () =>
    (await control.result("operator.list", {})).operators.map(({ id }) => id);

  test("is not done by the person who gave it, nor by a lesser role", async () => {
    const id = await request();
    const own = await call(
      control,
      operators["security-officer"],
      `POST /v1/approvals/${id}/approve`,
    );
    assertProblem(own, "ERR_APPROVAL_SAME_PERSON");
    const lesser = await call(control, operators.operator, `POST /v1/approvals/${id}/approve`);
    assertProblem(lesser, "ERR_FORBIDDEN");
    assert.ok(!(await operatorIds()).includes("operator:new-officer"));
  });

  test("is not done when it was refused, and not twice", async () => {
    const id = await request();
    await call(control, operators["second-officer"], `POST /v1/approvals/${id}/refuse`);
    const late = await call(
      control,
      operators["second-officer"],
      `POST /v1/approvals/${id}/approve`,
    );
    assertProblem(late, "ERR_APPROVAL_DECIDED");
    assert.ok(!(await operatorIds()).includes("operator:new-officer"));
  });

  test("is done once by one of two who approve at once", async () => {
    const id = await request();
    const approve = () =>
      call(control, operators["second-officer"], `POST /v1/approvals/${id}/approve`);
    const statuses = (await Promise.all([approve(), approve()])).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, 409]);
    assert.ok((await operatorIds()).includes("operator:new-officer"));
    const decided = (await lastEvents()).findLast(({ type }) => type === "approval-decided");
    assert.equal(decided?.details?.["actor"], "operator:second");
  });

  test("is not done by somebody who was revoked, and waits for another", async () => {
    const officer = await newOperatorOfOfficer("leaver", "security-officer");
    const id = await request();
    await control.result("operator.revoke", { operator: "operator:leaver" });
    await assert.rejects(call(control, officer, `POST /v1/approvals/${id}/approve`));
    const { approvals } = await control.result("approvals.list", {});
    assert.equal(approvals.find((one) => one.id === id)?.state, "waiting");
  });

  test("is not done for somebody who was revoked meanwhile", async () => {
    const officer = await newOperatorOfOfficer("leaving", "security-officer");
    const id = await request(officer);
    await control.result("operator.revoke", { operator: "operator:leaving" });
    const answer = await call(
      control,
      operators["second-officer"],
      `POST /v1/approvals/${id}/approve`,
    );
    assertProblem(answer, "ERR_APPROVAL_DECIDED");
  });
});

describe("an idempotency key", () => {
  const add = (key: string, name: string, credential = operators.operator) =>
    call(control, credential, "POST /v1/services", { name }, { "idempotency-key": key });

  test("that is no key is refused", async () => {
    assertProblem(await add("with space", "a"), "ERR_IDEMPOTENCY_KEY");
    assertProblem(await add("x".repeat(201), "a"), "ERR_IDEMPOTENCY_KEY");
  });

  test("gives the same answer again, without doing it again", async () => {
    const first = await add("key-1", "once");
    const again = await add("key-1", "once");
    assert.deepEqual([first.status, again.status, again.text], [200, 200, first.text]);
    assertProblem(await add("key-2", "once"), "ERR_SUBJECT_EXISTS");
    assertProblem(await add("key-2", "once"), "ERR_SUBJECT_EXISTS");
  });

  test("is refused for another request, and belongs to its caller alone", async () => {
    await add("key-3", "mine");
    assertProblem(await add("key-3", "other"), "ERR_IDEMPOTENCY_KEY");
    assertProblem(await add("key-3", "mine", operators["security-officer"]), "ERR_SUBJECT_EXISTS");
  });

  test("does not bring back what is shown once", async () => {
    const { id } = await control.result("device.add", { site: "main", ward: "icu" });
    const make = () =>
      call(
        control,
        operators.operator,
        `POST /v1/devices/${id}/enrolment-codes`,
        {},
        { "idempotency-key": "key-4" },
      );
    assert.match(String((await make()).json["code"]), /^[A-Z2-9]{5}(-[A-Z2-9]{5}){3}$/);
    assertProblem(await make(), "ERR_IDEMPOTENCY_UNFINISHED");
  });
});

describe("the ETag of a record", () => {
  const where = { site: "main", ward: "icu" };
  const edit = (id: unknown, owner: string, headers: Readonly<Record<string, string>>) => {
    const body = { owner, because: "test" };
    return call(
      control,
      operators.operator,
      `PATCH /v1/devices/${String(id).slice(7)}`,
      body,
      headers,
    );
  };

  test("lets one of two changes through that were made from the same record", async () => {
    const { json: made, headers } = await call(
      control,
      operators.operator,
      "POST /v1/devices",
      where,
    );
    const etag = headers.etag ?? "";
    const [one, other] = await Promise.all([
      edit(made["id"], "one", { "if-match": etag }),
      edit(made["id"], "other", { "if-match": etag }),
    ]);
    assert.deepEqual([one.status, other.status].sort(), [200, 412]);
    const [done, refused] = one.status === 200 ? [one, other] : [other, one];
    assertProblem(refused, "ERR_PRECONDITION");
    const shown = await call(control, operators.operator, `GET /v1/subjects/${made["id"]}`);
    assert.deepEqual(shown.json["details"], done.json["details"]);
    assert.equal(shown.headers.etag, done.headers.etag);
    assert.notEqual(shown.headers.etag, etag);
    const next = await edit(made["id"], "next", { "if-match": shown.headers.etag ?? "" });
    assert.equal(next.status, 200);
  });

  for (const command of ["quarantine", "revoke", "retire"]) {
    test(`keeps ${command} from a record that has changed, and lets it through otherwise`, async () => {
      const { json: made, headers } = await call(
        control,
        operators.operator,
        "POST /v1/devices",
        where,
      );
      await edit(made["id"], "somebody", {});
      const path = `POST /v1/subjects/${made["id"]}/${command}`;
      const because = { because: "test" };
      const late = await call(control, operators.operator, path, because, {
        "if-match": headers.etag ?? "",
      });
      assert.equal(late.status, 412);
      const { json } = await call(control, operators.operator, `GET /v1/subjects/${made["id"]}`);
      assert.equal(json["state"], "registered");
      assert.equal(
        (await call(control, operators.operator, path, because, { "if-match": "*" })).status,
        200,
      );
    });
  }

  test("is refused where it has another form, or where nothing is changed", async () => {
    const { json: made } = await call(control, operators.operator, "POST /v1/devices", where);
    assert.equal((await edit(made["id"], "x", { "if-match": "weak" })).status, 400);
    const looked = `GET /v1/subjects/${made["id"]}`;
    const { status, json } = await call(control, operators.operator, looked, undefined, {
      "if-match": "*",
    });
    assert.equal(status, 400);
    assert.match(String(json["title"]), /takes no If-Match/);
  });
});

describe("pages", () => {
  for (const [what, cursor] of [
    ["nothing", ""],
    ["a text", "next"],
    ["a subject that there is not", `device:${randomUUID()}`],
    ["an operator", "operator:viewer"],
  ] as const)
    test(`follow no cursor that is ${what}`, async () => {
      const { status, json } = await call(
        control,
        operators.viewer,
        `GET /v1/subjects?cursor=${cursor}`,
      );
      assert.equal(status, 400);
      assert.equal(json["code"], "ERR_REQUEST");
      assert.match(String(json["title"]), /cursor/);
      assert.match(String(json["hint"]), /next/);
    });

  test("hold everything once, while subjects come and go", async () => {
    for (let i = 0; i < 5; i++) await control.result("service.add", { name: `page-${i}` });
    const before = new Set((await control.result("list", {})).subjects.map(({ id }) => id));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const query = `limit=2${cursor === undefined ? "" : `&cursor=${cursor}`}`;
      const { json } = await call(control, operators.viewer, `GET /v1/subjects?${query}`);
      const { subjects, next } = json as { subjects: { id: string }[]; next?: string };
      seen.push(...subjects.map(({ id }) => id));
      cursor = next;
      await control.result("device.add", { site: "main", ward: "icu" });
    } while (cursor !== undefined && seen.length < 1000);
    assert.equal(new Set(seen).size, seen.length);
    for (const id of before) assert.ok(seen.includes(id), id);
  });
});

describe("the OpenAPI document", () => {
  test("is served, and has every command that has a route", async () => {
    const { json, status } = await call(control, operators.viewer, "GET /openapi.json");
    assert.equal(status, 200);
    assert.deepEqual(json, JSON.parse(JSON.stringify(openApiDocument(commands))));
  });
});
