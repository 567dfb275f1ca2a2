import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  compilePolicy,
  type Decision,
  defaultPolicyText,
  type Policy,
  PolicyError,
  parsePolicy,
  type Subject,
  type SubjectRights,
} from "../src/index.ts";
import { compiled, device, otherUuid, service, uuid } from "./world.ts";

type Ask = "decidePublish" | "decideSubscribe" | "decideReceive";

/** One topic that is permitted, and its neighbours that are not. */
interface Row {
  readonly ask: Ask;
  readonly permit: string;
  readonly ruleId: string;
  readonly deny: readonly string[];
}

function check(rights: SubjectRights, rows: readonly Row[]): void {
  for (const { ask, permit, ruleId, deny } of rows) {
    for (const topic of deny) assert.equal(rights[ask](topic).effect, "Deny", `${ask} ${topic}`);
    const { effect, because, ruleId: by, hint } = rights[ask](permit);
    const permitted = { effect: "Permit", because: "Permit", by: ruleId, hint: undefined };
    assert.deepEqual({ effect, because, by, hint }, permitted, `${ask} ${permit}`);
  }
}

describe("the default policy", () => {
  const policy = compilePolicy(parsePolicy(defaultPolicyText()));
  const own = `st-anna/main/icu-1/device/${uuid}`;
  const foreign = `st-anna/main/icu-1/device/${otherUuid}`;

  test("lets a device send only on its own channels", () => {
    const row = (channel: string, index: number): Row => ({
      ask: "decidePublish",
      permit: `${own}/${channel}`,
      ruleId: `bedside-device/publish[${index}]`,
      deny: [
        `${foreign}/${channel}`,
        `${own}/${channel}/`,
        `${own}/${channel}/x/x`,
        `${own}/${channel}x`,
        `${own}//${channel}`,
        `/${own}/${channel}`,
        `${own}/${channel.toUpperCase()}`,
        `other/main/icu-1/device/${uuid}/${channel}`,
        `st-anna/other/icu-1/device/${uuid}/${channel}`,
        `st-anna/main/icu-2/device/${uuid}/${channel}`,
        `st-anna/main/icu-1/service/${uuid}/${channel}`,
        `$SYS/${own}/${channel}`,
      ],
    });
    const channels = ["telemetry", "alarm", "command/response", "lifecycle", "firmware/status"];
    const rights = policy.rightsOf(device());
    check(rights, channels.map(row));
    for (const channel of ["command", "config", "firmware/command", "firmware", ""]) {
      assert.equal(rights.decidePublish(`${own}/${channel}`).effect, "Deny", channel);
    }
  });

  test("lets a device read only what is meant for it", () => {
    const row = (channel: string, index: number): Row => ({
      ask: "decideSubscribe",
      permit: `${own}/${channel}`,
      ruleId: `bedside-device/subscribe[${index}]`,
      deny: [
        `${foreign}/${channel}`,
        `${own}/${channel}/#`,
        `${own}/+`,
        `${own}/#`,
        `st-anna/main/icu-1/device/+/${channel}`,
        `+/main/icu-1/device/${uuid}/${channel}`,
        "#",
        "+/#",
        `$share/g/${own}/${channel}`,
      ],
    });
    const rights = policy.rightsOf(device());
    check(rights, ["command", "config", "firmware/command", "lifecycle"].map(row));
    assert.equal(rights.decideSubscribe(`${own}/telemetry`).effect, "Deny");
    assert.equal(rights.decideReceive(`${own}/command`).effect, "Permit");
    assert.equal(rights.decideReceive(`${foreign}/command`).effect, "Deny");
  });

  test("lets the dashboard read telemetry and alarms of its organisation, and send nothing", () => {
    const rights = policy.rightsOf(service("dashboard"));
    check(rights, [
      {
        ask: "decideSubscribe",
        permit: "st-anna/+/+/device/+/telemetry",
        ruleId: "clinical-dashboard/subscribe[0]",
        deny: ["+/+/+/device/+/telemetry", "st-anna/+/+/device/+/+", "st-anna/+/+/device/+/#"],
      },
      {
        ask: "decideSubscribe",
        permit: `${own}/alarm`,
        ruleId: "clinical-dashboard/subscribe[1]",
        deny: [`${own}/command`, `other/main/icu-1/device/${uuid}/alarm`, "st-anna/#", "#"],
      },
      {
        ask: "decideReceive",
        permit: `${own}/telemetry`,
        ruleId: "clinical-dashboard/subscribe[0]",
        deny: [`${own}/config`, `${own}/telemetry/x`],
      },
    ]);
    assert.equal(rights.decidePublish(`${own}/alarm`).effect, "Deny");
  });

  test("gives other services, people and strangers nothing", () => {
    const person: Subject = {
      id: "person:a",
      kind: "person",
      attributes: { org: "st-anna", id: "a" },
    };
    const kind = "__proto__" as Subject["kind"];
    const stranger: Subject = { id: "__proto__:a", kind, attributes: { org: "st-anna", id: "a" } };
    for (const subject of [service("billing"), service("dashboard2"), person, stranger]) {
      const rights = policy.rightsOf(subject);
      for (const decision of answers(rights, `${own}/alarm`)) {
        assert.equal(decision.effect, "Deny", subject.id);
        assert.equal(decision.because, "NotApplicable");
        assert.equal(
          decision.hint,
          `no role is bound to ${subject.id}: add a binding to the policy`,
        );
      }
    }
  });
});

describe("bindings", () => {
  const all = { publish: ["+"], subscribe: ["+"] };
  const isBound = (to: string, subject: Subject) =>
    compiled({ r: all }, [["r", to]])
      .rightsOf(subject)
      .decidePublish("x").effect === "Permit";

  test("to a kind mean every subject of the kind and no other", () => {
    assert.ok(isBound("device:*", device()));
    assert.ok(!isBound("device:*", service("a")));
    assert.ok(isBound("service:*", service("a")));
    assert.ok(!isBound("service:*", device()));
  });
  test("to one subject mean this one and no other", () => {
    assert.ok(isBound(`device:${uuid}`, device(uuid)));
    assert.ok(!isBound(`device:${uuid}`, device(otherUuid)));
    assert.ok(isBound("service:a", service("a")));
    assert.ok(!isBound("service:a", service("b")));
    assert.ok(!isBound("service:a", service("A")));
    const deviceNamedSo = device("a");
    assert.ok(!isBound("service:a", deviceNamedSo));
  });
  test("add up: a subject has the roles of its kind and its own", () => {
    const policy = compiled({ every: { publish: ["e"] }, own: { publish: ["o"] } }, [
      ["own", "service:a"],
      ["every", "service:*"],
    ]);
    const a = policy.rightsOf(service("a"));
    assert.equal(a.decidePublish("e").ruleId, "every/publish[0]");
    assert.equal(a.decidePublish("o").ruleId, "own/publish[0]");
    const b = policy.rightsOf(service("b"));
    assert.equal(b.decidePublish("e").effect, "Permit");
    assert.equal(b.decidePublish("o").effect, "Deny");
  });
  test("of names of Object.prototype are bindings like others", () => {
    const policy = compiled(JSON.parse('{"__proto__": {"publish": ["a"]}, "constructor": {}}'), [
      ["__proto__", "service:__proto__"],
      ["constructor", "service:constructor"],
    ]);
    const rights = policy.rightsOf(service("__proto__"));
    assert.equal(rights.decidePublish("a").ruleId, "__proto__/publish[0]");
    assert.equal(policy.rightsOf(service("constructor")).decidePublish("a").effect, "Deny");
    assert.equal(policy.rightsOf(service("toString")).decidePublish("a").effect, "Deny");
  });
});

describe("wildcards in rules", () => {
  const rights = (...filters: string[]) =>
    compiled(
      { r: { publish: filters.filter((one) => !one.startsWith("$")), subscribe: filters } },
      [["r", "service:*"]],
    ).rightsOf(service("s"));

  test("+ is one level, # is the parent and everything below", () => {
    const plus = rights("a/+");
    for (const name of ["a/b", "a/"]) assert.equal(plus.decidePublish(name).effect, "Permit", name);
    for (const name of ["a", "a/b/c", "b/b", "/a", "ab"]) {
      assert.equal(plus.decidePublish(name).effect, "Deny", name);
    }
    const hash = rights("a/#");
    for (const name of ["a", "a/", "a/b", "a/b/c"]) {
      assert.equal(hash.decidePublish(name).effect, "Permit", name);
    }
    for (const name of ["ab", "b", "/a", "ab/c"]) {
      assert.equal(hash.decidePublish(name).effect, "Deny", name);
    }
  });
  test("never reach names that begin with $", () => {
    for (const filter of ["#", "+/#", "+/x", "+", "+/+"]) {
      for (const name of ["$SYS/x", "$SYS", "$share/g/x", "$"]) {
        for (const decision of answers(rights(filter), name)) assert.equal(decision.effect, "Deny");
      }
    }
    assert.equal(rights("#").decideSubscribe("$SYS/#").effect, "Deny");
    assert.equal(rights("#").decideSubscribe("#").effect, "Permit");
  });
  test("below $SYS are read where it is written out, and nobody publishes there", () => {
    const sys = rights("$SYS/#", "#");
    assert.equal(sys.decideSubscribe("$SYS/broker/uptime").ruleId, "r/subscribe[0]");
    assert.equal(sys.decideReceive("$SYS/broker/uptime").effect, "Permit");
    assert.equal(sys.decideSubscribe("$CONTROL/x").effect, "Deny");
    const denied = sys.decidePublish("$SYS/broker/uptime");
    assert.equal(denied.because, "Deny");
    assert.match(denied.hint ?? "", /begin with \$ are the broker's/);
  });
  test("# and +/# are the same", () => {
    assert.equal(rights("+/#").decideSubscribe("#").effect, "Permit");
    assert.equal(rights("#").decideSubscribe("+/#").effect, "Permit");
    assert.equal(rights("+/+/#").decideSubscribe("#").effect, "Deny");
  });
});

test("a role is compiled once, however many devices have it", () => {
  const publish = Array.from({ length: 1_000 }, (_, i) => `{org}/{site}/w-${i}/device/{id}/alarm`);
  const policy = compiled({ r: { publish } }, [["r", "device:*"]]);
  const before = process.memoryUsage().rss;
  // A tree of its own for each would be 20,000,000 rules, some gigabytes.
  const all = Array.from({ length: 20_000 }, (_, i) => {
    const id = uuid.slice(0, -6) + i.toString(16).padStart(6, "0");
    return { id, rights: policy.rightsOf(device(id)) };
  });
  for (const { id, rights } of all) {
    const decision = rights.decidePublish(`st-anna/main/w-7/device/${id}/alarm`);
    assert.equal(decision.ruleId, "r/publish[7]");
  }
  const [first, second] = [all[0]?.id, all[1]?.rights];
  assert.equal(second?.decidePublish(`st-anna/main/w-7/device/${first}/alarm`).effect, "Deny");
  assert.ok(process.memoryUsage().rss - before < 300_000_000);
});

describe("a subscription that no single rule allows", () => {
  const ask = (rules: readonly string[], filter: string) =>
    compiled({ r: { subscribe: rules } }, [["r", "service:*"]])
      .rightsOf(service("s"))
      .decideSubscribe(filter);

  test("is refused where the rules leave a name out", () => {
    assert.equal(ask(["a/b", "a/c"], "a/+").effect, "Deny");
    assert.equal(ask(["a/+/#"], "a/#").effect, "Deny");
    assert.equal(ask(["a", "a/+/+/#"], "a/#").effect, "Deny");
    assert.equal(ask(["a", "a/+"], "a/#").effect, "Deny");
    assert.equal(ask(["a", "a/b/#"], "a/#").effect, "Deny");
    assert.equal(ask(["+", "+/+"], "#").effect, "Deny");
  });
  test("is permitted where they leave none out, and names them all", () => {
    assert.equal(ask(["a", "a/+/#"], "a/#").ruleId, "r/subscribe[0],r/subscribe[1]");
    assert.equal(ask(["+/+/#", "x", "+"], "#").ruleId, "r/subscribe[2],r/subscribe[0]");
  });
});

describe("attributes", () => {
  const hostile = [
    "+",
    "#",
    "/",
    "a/b",
    "a/#",
    "+/+",
    "",
    " ",
    "a b",
    "a\0",
    "a\n",
    "{id}",
    "$SYS",
    "é",
    "\u0430",
    "\ud800",
    "\u202e",
    "a".repeat(65),
    "a.b",
    "%u",
  ];

  test("with odd text take every right away, whether a rule uses them or not", () => {
    const policy = compiled({ r: { publish: ["#"], subscribe: ["#", "{ward}/x", "$SYS/#"] } }, [
      ["r", "device:*"],
    ]);
    for (const text of hostile) {
      for (const name of ["org", "site", "ward", "id", "model", "owner"]) {
        const rights = policy.rightsOf(device(uuid, { [name]: text }));
        for (const topic of ["x", "#", "+", "+/x", "a/x", `${text}/x`, "$SYS/x"]) {
          for (const decision of answers(rights, topic)) {
            assert.equal(decision.effect, "Deny", `${name} ${text} ${topic}`);
            assert.equal(decision.because, "Indeterminate");
            assert.match(decision.hint ?? "", /^[\x20-\x7e]+$/);
          }
        }
      }
    }
    assert.equal(policy.rightsOf(device()).decidePublish("x").effect, "Permit");
  });
  test("that are no texts take every right away", () => {
    const policy = compiled({ r: { publish: ["#"] } }, [["r", "device:*"]]);
    for (const value of [undefined, null, 1, true, {}, ["icu"], { toString: () => "icu" }]) {
      const subject = device(uuid, { ward: value as unknown as string });
      assert.equal(policy.rightsOf(subject).decidePublish("x").because, "Indeterminate");
    }
    for (const attributes of [undefined, null, "x", {}]) {
      const subject = { ...device(), attributes } as unknown as Subject;
      assert.equal(policy.rightsOf(subject).decidePublish("x").because, "Indeterminate");
    }
  });
  test("that are named like properties of Object.prototype change nothing", () => {
    const policy = compiled({ r: { publish: ["{ward}/x"] } }, [["r", "device:*"]]);
    const attributes = JSON.parse(`{"id": "${uuid}", "__proto__": "a", "constructor": "b"}`);
    const rights = policy.rightsOf({ id: `device:${uuid}`, kind: "device", attributes });
    for (const ward of ["a", "b", "undefined", "[object Object]"]) {
      assert.equal(rights.decidePublish(`${ward}/x`).because, "Indeterminate", ward);
    }
    const inherited = Object.create({ ward: "icu-1" });
    inherited.id = uuid;
    const subject: Subject = { id: `device:${uuid}`, kind: "device", attributes: inherited };
    assert.equal(policy.rightsOf(subject).decidePublish("icu-1/x").effect, "Deny");
    assert.equal(policy.rightsOf(device()).decidePublish("icu-1/x").effect, "Permit");
  });
  test("of another subject take every right away", () => {
    const policy = compiled({ r: { publish: ["#"] } }, [["r", "device:*"]]);
    for (const subject of [
      { ...device(), id: `device:${otherUuid}` },
      { ...device(), id: uuid },
      { ...device(), id: `service:${uuid}` },
      device(uuid, { id: otherUuid }),
    ]) {
      const decision = policy.rightsOf(subject).decidePublish("x");
      assert.equal(decision.because, "Indeterminate");
      assert.match(decision.hint ?? "", /correct the record/);
    }
  });
  test("that are missing make a rule Indeterminate, and other rules stay", () => {
    const rules = { publish: ["{org}/{model}/x", "{org}/plain"], subscribe: ["{ward}/#"] };
    const policy = compiled({ r: rules }, [
      ["r", "device:*"],
      ["r", "service:*"],
    ]);
    const without = policy.rightsOf(device());
    for (const level of ["", "undefined", "null", "{model}", "+", "mx"]) {
      const decision = without.decidePublish(`st-anna/${level}/x`);
      assert.equal(decision.because, "Indeterminate", level);
      assert.match(
        decision.hint ?? "",
        /r\/publish\[0\].*needs the attribute model, which device:/,
      );
    }
    assert.equal(without.decidePublish("other/mx/x").because, "NotApplicable");
    assert.equal(without.decidePublish("st-anna/plain").effect, "Permit");
    const withModel = policy.rightsOf(device(uuid, { model: "mx" }));
    assert.equal(withModel.decidePublish("st-anna/mx/x").effect, "Permit");
    assert.equal(withModel.decidePublish("st-anna/my/x").because, "NotApplicable");
    const dashboard = policy.rightsOf(service("d"));
    for (const filter of ["#", "+/#", "undefined/#", "icu-1/#"]) {
      assert.equal(dashboard.decideSubscribe(filter).because, "Indeterminate", filter);
    }
  });
  test("are taken as they were when the rights were made", () => {
    const policy = compiled({ r: { publish: ["{ward}"] } }, [["r", "device:*"]]);
    const attributes = { ...device().attributes };
    const rights = policy.rightsOf({ ...device(), attributes });
    attributes["ward"] = "icu-2";
    assert.equal(rights.decidePublish("icu-2").effect, "Deny");
    assert.equal(rights.decidePublish("icu-1").effect, "Permit");
  });
});

describe("what is no topic", () => {
  const rights = compiled({ r: { publish: ["#", "+/b"], subscribe: ["#", "+/b"] } }, [
    ["r", "service:*"],
  ]).rightsOf(service("s"));

  test("is denied as Indeterminate", () => {
    assert.equal(rights.decidePublish("").because, "Indeterminate");
    assert.equal(rights.decideReceive("").because, "Indeterminate");
    for (const filter of ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "++", "##", "a/+b", "a/b#"]) {
      assert.equal(rights.decideSubscribe(filter).because, "Indeterminate", filter);
    }
    for (const filter of ["a", "#", "+", "a/#", "/", "a//+"]) {
      assert.equal(rights.decideSubscribe(filter).effect, "Permit", filter);
    }
  });
});

describe("the hint of a Deny", () => {
  const policy = compiled(
    {
      sender: { publish: ["{org}/{ward}/alarm", "{org}/deid/+/x"] },
      idle: {},
    },
    [
      ["sender", "device:*"],
      ["idle", "service:*"],
    ],
  );
  const publish = (name: string) => policy.rightsOf(device()).decidePublish(name).hint;

  test("names the nearest rule, its line, and the level that differs", () => {
    assert.equal(
      publish("st-anna/icu-1/alert"),
      'the nearest rule, sender/publish[0] (line 1 of the policy), wants "alarm" at level 3: use that or add a rule',
    );
    assert.match(publish("st-anna/icu-2/alarm") ?? "", /"icu-1" at level 2 \(the subject's ward\)/);
    assert.match(publish("st-anna/deid/a/y") ?? "", /sender\/publish\[1\].*wants "x" at level 4/);
    assert.match(publish("st-anna/deid") ?? "", /wants a level 3/);
    assert.match(publish("st-anna/icu-1/alarm/x") ?? "", /ends after level 3/);
    assert.match(publish("x") ?? "", /"st-anna" at level 1/);
  });
  test("says that a subject's roles have no such rule", () => {
    assert.equal(
      policy.rightsOf(service("s")).decidePublish("x").hint,
      "no publish rule is in the roles of service:s (idle): add one to the policy",
    );
    assert.match(policy.rightsOf(device()).decideSubscribe("x").hint ?? "", /no subscribe rule/);
  });
  test("never repeats what the client asked for", () => {
    for (const topic of ["st-anna/icu-1/\u202esecret\u001b[2J", "\u202esecret\u001b[2J"]) {
      for (const decision of answers(policy.rightsOf(device()), topic)) {
        assert.doesNotMatch(decision.hint ?? "", /secret/);
        assert.match(decision.hint ?? "", /^[\x20-\x7e]+$/);
      }
    }
  });
});

describe("compilePolicy refuses what parsePolicy would have refused", () => {
  const good: Policy = parsePolicy(
    '{"topics": {"schema": "off"}, "roles": {"r": {"publish": ["a"], "subscribe": ["b"]}}, "bindings": [{"role": "r", "to": "device:*"}]}',
  );
  const [role] = good.roles;
  const [binding] = good.bindings;
  const withRule = (rule: unknown) => ({ ...good, roles: [{ ...role, publish: [rule] }] });
  const place = { line: 1, column: 1 };
  const bad: Readonly<Record<string, unknown>> = {
    nothing: undefined,
    null: null,
    "a text": "roles: {}",
    "a list": [],
    "an empty object": {},
    "no bindings": { roles: [] },
    "an unknown key": { ...good, allow: [] },
    "roles as an object": { ...good, roles: {} },
    "a role that is null": { ...good, roles: [null] },
    "a role without a name": { ...good, roles: [{ ...role, name: undefined }] },
    "a role's name with a /": { ...good, roles: [{ ...role, name: "r/x" }], bindings: [] },
    "a role twice": { ...good, roles: [role, role] },
    "a role with an unknown key": { ...good, roles: [{ ...role, deny: [] }] },
    "a role without subscribe": { ...good, roles: [{ name: "r", ...place, publish: [] }] },
    "a rule that is a text": withRule("a"),
    "a rule without a filter": withRule(place),
    "a rule with a number": withRule({ filter: 1, ...place }),
    "a rule without a place": withRule({ filter: "a", line: "1", column: 1 }),
    "a rule with a broken wildcard": withRule({ filter: "a#", ...place }),
    "a rule with an unknown attribute": withRule({ filter: "{__proto__}", ...place }),
    "a rule to publish to $SYS": withRule({ filter: "$SYS/x", ...place }),
    "a rule with an empty filter": withRule({ filter: "", ...place }),
    "bindings as an object": { ...good, bindings: {} },
    "a binding of an unknown role": { ...good, bindings: [{ ...binding, role: "q" }] },
    "a binding to everybody": { ...good, bindings: [{ ...binding, to: "*" }] },
    "a binding to a list": { ...good, bindings: [{ ...binding, to: ["device:*"] }] },
  };
  for (const [what, value] of Object.entries(bad)) {
    test(`refuses ${what}`, () => {
      assert.throws(() => compilePolicy(value as Policy), PolicyError);
    });
  }
  test("accepts the same without the fault", () => {
    const rights = compilePolicy(JSON.parse(JSON.stringify(good))).rightsOf(device());
    assert.equal(rights.decidePublish("a").effect, "Permit");
    assert.equal(rights.decidePublish("b").effect, "Deny");
  });
});

test("Permit decisions cannot be changed by who receives them", () => {
  const rights = compiled({ r: { publish: ["a"] } }, [["r", "device:*"]]).rightsOf(device());
  assert.throws(() => Object.assign(rights.decidePublish("a"), { effect: "Deny" }), TypeError);
  assert.equal(rights.decidePublish("a").effect, "Permit");
  assert.throws(() => Object.assign(rights.decidePublish("$x"), { effect: "Permit" }), TypeError);
  assert.equal(rights.decidePublish("$x").effect, "Deny");
});

function answers(rights: SubjectRights, topic: string): readonly Decision[] {
  return [rights.decidePublish(topic), rights.decideSubscribe(topic), rights.decideReceive(topic)];
}

describe("a subject with a token", () => {
  const policy = compiled(
    {
      nurse: { subscribe: ["{org}/main/{ward}/device/+/alarm"] },
      everyone: { publish: ["{org}/notes"] },
    },
    [
      ["everyone", "device:*"],
      ["everyone", "service:*"],
    ],
  );
  const person = (roles: readonly string[], kind: "person" | "app" = "person"): Subject => ({
    id: `${kind}:idp_ann`,
    kind,
    attributes: { org: "st-anna", id: "idp_ann", ward: "icu-1" },
    roles,
  });

  test("has the roles of its token and no others", () => {
    for (const kind of ["person", "app"] as const) {
      check(policy.rightsOf(person(["nurse", "unheard-of"], kind)), [
        {
          ask: "decideSubscribe",
          permit: "st-anna/main/icu-1/device/+/alarm",
          ruleId: "nurse/subscribe[0]",
          deny: ["st-anna/main/icu-2/device/+/alarm", "st-anna/main/+/device/+/alarm"],
        },
      ]);
    }
    const { effect } = policy.rightsOf(person(["nurse"])).decidePublish("st-anna/notes");
    assert.equal(effect, "Deny");
  });

  test("has no right where its token names no role", () => {
    const rights = policy.rightsOf(person([]));
    assert.equal(rights.decideReceive("st-anna/main/icu-1/device/x/alarm").effect, "Deny");
    assert.equal(rights.decidePublish("st-anna/notes").effect, "Deny");
  });

  test("is nothing that a device can claim to be", () => {
    const rights = policy.rightsOf({ ...device(), roles: ["nurse"] });
    assert.equal(rights.decideReceive("st-anna/main/icu-1/device/x/alarm").effect, "Deny");
  });
});
