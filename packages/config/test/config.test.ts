import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  ConfigError,
  configDocument,
  defaultConfigText,
  formatProblem,
  options,
  type Problem,
  parseConfig,
} from "../src/index.ts";

const minimal = "org: hospital-1\nhosts: [mqtt.hospital-1.example]\n";

function problemsOf(text: string, overrides: readonly string[] = []): readonly Problem[] {
  try {
    parseConfig(text, overrides);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return assert.fail(`accepted: ${text} ${overrides.join(" ")}`);
}

/** What one more line, or one override, makes wrong. */
const oneProblem = (text: string, overrides: readonly string[] = []) => {
  const problems = problemsOf(text, overrides);
  assert.equal(problems.length, 1, problems.map(formatProblem).join("\n"));
  const [problem] = problems;
  return problem ?? assert.fail();
};

describe("wardmq.yaml is refused", () => {
  const refused: readonly (readonly [name: string, text: string, at: string, message: RegExp])[] = [
    ["an unknown key", `${minimal}insecure: true\n`, "3:1 insecure", /not a known key/],
    [
      "one port for both listeners",
      `${minimal}listeners: {wss: {port: 8883}}\n`,
      "3:25 listeners.wss.port",
      /mqtts and wss both have the port 8883/,
    ],
    [
      "an unknown key in a group",
      `${minimal}limits:\n  conections: 1\n`,
      "4:3 limits.conections",
      /not a known key/,
    ],
    ["a key of Object.prototype", `${minimal}__proto__: 1\n`, "3:1 __proto__", /not a known key/],
    [
      "an anonymous access switch",
      `${minimal}allow_anonymous: true\n`,
      "3:1 allow_anonymous",
      /not a known key/,
    ],
    ["a key that stands twice", `${minimal}org: other\n`, "3:1 org", /second time/],
    [
      "a group that stands twice",
      `${minimal}limits: {}\nlimits: {}\n`,
      "4:1 limits",
      /second time/,
    ],
    [
      "text for a number",
      `${minimal}limits:\n  connections: many\n`,
      "4:16 limits.connections",
      /found "many"/,
    ],
    [
      "a fraction",
      `${minimal}limits:\n  connections: 1.5\n`,
      "4:16 limits.connections",
      /whole number/,
    ],
    [
      "a number in quotes",
      `${minimal}limits:\n  connections: "5"\n`,
      "4:16 limits.connections",
      /whole number/,
    ],
    [
      "infinity",
      `${minimal}limits:\n  connections: .inf\n`,
      "4:16 limits.connections",
      /whole number/,
    ],
    [
      "a number below the range",
      `${minimal}limits:\n  connections: 0\n`,
      "4:16 limits.connections",
      /out of range/,
    ],
    [
      "a number above the range",
      `${minimal}limits:\n  inflight: 65536\n`,
      "4:13 limits.inflight",
      /out of range/,
    ],
    ["nothing for a value", `${minimal}environment:\n`, "3:13 environment", /found nothing/],
    ["a value for a group", `${minimal}limits: 5\n`, "3:9 limits", /group of keys/],
    ["a group for a value", `${minimal}environment: {a: 1}\n`, "3:14 environment", /found a group/],
    ["a number for a name", "org: 17\nhosts: [a]\n", "1:6 org", /found 17/],
    ["a name outside of the alphabet", "org: a/b\nhosts: [a]\n", "1:6 org", /is not a name/],
    ["no org", "hosts: [a]\n", "1:1 org", /is missing/],
    ["no hosts", "org: a\n", "1:1 hosts", /is missing/],
    ["an empty list of hosts", "org: a\nhosts: []\n", "2:8 hosts", /at least 1/],
    ["one text for a list", "org: a\nhosts: b\n", "2:8 hosts", /expected a list/],
    [
      "a host that is an IP address",
      "org: a\nhosts: [10.0.0.1]\n",
      "2:8 hosts",
      /is not a DNS name/,
    ],
    ["a host with a wildcard", 'org: a\nhosts: ["*.b"]\n', "2:8 hosts", /is not a DNS name/],
    ["a host in upper case", "org: a\nhosts: [B]\n", "2:8 hosts", /lower case/],
    ["a host that is named twice", "org: a\nhosts: [b, b]\n", "2:8 hosts", /named twice/],
    [
      "a TLS version that is too old",
      `${minimal}tls: {minVersion: TLSv1.1}\n`,
      "3:19 tls.minVersion",
      /TLSv1.3 or TLSv1.2/,
    ],
    [
      "a profile that does not exist",
      `${minimal}tls: {profile: none}\n`,
      "3:16 tls.profile",
      /nist or modern/,
    ],
    [
      "any origin",
      `${minimal}webSocketOrigins: ["*"]\n`,
      "3:19 webSocketOrigins",
      /is not an origin/,
    ],
    [
      "an address of a CRL that names no CA",
      `${minimal}certificates: { crl: ["http://a/b.crl"] }\n`,
      "3:22 certificates.crl",
      /names the CA as \{ca\}/,
    ],
    [
      "an address of a responder with a password",
      `${minimal}certificates: { ocsp: ["http://a:b@c/ocsp"] }\n`,
      "3:23 certificates.ocsp",
      /begins with http/,
    ],
    [
      "an address over LDAP",
      `${minimal}certificates: { caIssuers: ["ldap://a/{ca}"] }\n`,
      "3:28 certificates.caIssuers",
      /begins with http/,
    ],
    [
      "an anchor that moves with the current folder",
      `${minimal}anchor: ../anchor\n`,
      "3:9 anchor",
      /is not the absolute path of a file/,
    ],
    [
      "an origin with a path",
      `${minimal}webSocketOrigins: [https://a/b]\n`,
      "3:19 webSocketOrigins",
      /is not an origin/,
    ],
    [
      "a name as a listener's address",
      `${minimal}listeners: {mqtts: {address: localhost}}\n`,
      "3:30 listeners.mqtts.address",
      /is not an IP/,
    ],
    [
      "a shortened IPv4 address",
      `${minimal}listeners: {mqtts: {address: "127.1"}}\n`,
      "3:30 listeners.mqtts.address",
      /is not an IP/,
    ],
    [
      "a port that is none",
      `${minimal}listeners: {wss: {port: 65536}}\n`,
      "3:25 listeners.wss.port",
      /out of range/,
    ],
    [
      "a trust domain in upper case",
      `${minimal}trustDomain: A\n`,
      "3:14 trustDomain",
      /trust domain/,
    ],
    [
      "the shortest keep alive above the longest",
      `${minimal}limits: {keepAliveSeconds: {min: 601}}\n`,
      "3:34 limits.keepAliveSeconds.min",
      /longer than the longest/,
    ],
    ["an alias", `${minimal}environment: *a\n`, "3:14 ", /alias/],
    ["an anchor", `${minimal}environment: &a b\n`, "3:17 ", /anchors/],
    ["a tag", `${minimal}environment: !x b\n`, "3:14 ", /not valid YAML/],
    ["a tab", `${minimal}limits:\n\tconnections: 1\n`, "4:1 ", /not valid YAML/],
    ["a list", "- a\n", "1:1 ", /group of keys/],
    ["a text", "a\n", "1:1 ", /group of keys/],
  ];
  for (const [name, text, at, message] of refused) {
    test(`for ${name}`, () => {
      const { file, line, column, key, message: said, hint } = oneProblemAt(text, at);
      assert.equal(file, "wardmq.yaml");
      assert.equal(`${line}:${column} ${key}`, at);
      assert.match(said, message);
      assert.notEqual(hint, "");
    });
  }

  function oneProblemAt(text: string, at: string): Problem {
    const problems = problemsOf(text);
    const found = problems.find(({ line, column, key }) => `${line}:${column} ${key}` === at);
    return found ?? assert.fail(problems.map(formatProblem).join("\n"));
  }

  test("for two documents in one file", () => {
    assert.match(oneProblem(`${minimal}---\n${minimal}`).message, /not valid YAML/);
  });

  test("with everything that is wrong at once, in the order of the file", () => {
    const problems = problemsOf("org: a b\nwhat: 1\nlimits:\n  connections: -1\nhosts: [B]\n");
    assert.deepEqual(
      problems.map(({ line, key }) => `${line} ${key}`),
      ["1 org", "2 what", "4 limits.connections", "5 hosts"],
    );
  });

  test("without printing what it holds unescaped", () => {
    const { message } = oneProblem('org: "a\\u001b[31m\\u202e"\nhosts: [a]\n');
    assert.match(message, /^[\x20-\x7e]*$/);
    assert.match(message, /\\u\{1b\}/);
  });

  test("with a hint at the key that was meant", () => {
    assert.match(oneProblem(`${minimal}limits:\n  conections: 1\n`).hint, /limits\.connections\?/);
    assert.match(oneProblem(`${minimal}minVersion: TLSv1.3\n`).hint, /tls\.minVersion\?/);
    assert.match(oneProblem(`${minimal}listners: {mqtts: {port: 1}}\n`).hint, /mean listeners\?/);
  });

  test("as a ConfigError for any text that is no configuration", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        assert.throws(() => parseConfig(text, []), ConfigError);
      }),
    );
  });
});

describe("an override is refused", () => {
  const refused: readonly (readonly [override: string, key: string, message: RegExp])[] = [
    ["limits.connections", "limits.connections", /no value/],
    ["limits.conections=5", "limits.conections", /not a known key/],
    ["limits=5", "limits", /not a known key/],
    ["__proto__.polluted=1", "__proto__.polluted", /not a known key/],
    ["limits.connections=", "limits.connections", /found nothing/],
    ["limits.connections=many", "limits.connections", /whole number/],
    ["limits.connections=0", "limits.connections", /out of range/],
    ["tls.minVersion=TLSv1", "tls.minVersion", /TLSv1.3 or TLSv1.2/],
    ["hosts=[a", "hosts", /not valid YAML/],
    ["hosts=*a", "hosts", /not valid YAML/],
    ["org=!x a", "org", /not valid YAML/],
  ];
  for (const [override, key, message] of refused) {
    test(`when it is ${override}`, () => {
      const problem = oneProblem(minimal, [override]);
      assert.equal(problem.file, `--set ${key}`);
      assert.equal(problem.key, key);
      assert.match(problem.message, message);
      assert.match(formatProblem(problem), /^--set \S+: [^:]/);
    });
  }

  test("when its key is given twice", () => {
    const twice = ["limits.connections=5", "limits.connections=6"];
    assert.match(oneProblem(minimal, twice).message, /given twice/);
  });

  test("when it does not fit the file", () => {
    const { file } = oneProblem(`${minimal}limits: {keepAliveSeconds: {max: 60}}\n`, [
      "limits.keepAliveSeconds.min=61",
    ]);
    assert.equal(file, "--set limits.keepAliveSeconds.min");
  });
});

describe("wardmq.yaml is taken", () => {
  test("with a default for everything but org and hosts", () => {
    const { settings, findings } = parseConfig(minimal, []);
    assert.equal(settings.trustDomain, "prod.hospital-1");
    assert.deepEqual(settings.listeners.mqtts, {
      address: "127.0.0.1",
      port: 8883,
      accept: "certificate",
    });
    assert.deepEqual(settings.tls, { profile: "nist", minVersion: "TLSv1.3" });
    assert.deepEqual(settings.limits.connectionsPerSubject, {
      device: 1,
      service: 100,
      person: 10,
    });
    assert.deepEqual(findings, []);
  });

  test("with a trust domain in lower case", () => {
    const text = "org: Hospital_1\nenvironment: Test\nhosts: [a]\n";
    assert.equal(parseConfig(text, []).settings.trustDomain, "test.hospital_1");
  });

  test("with an override in the place of the file's value", () => {
    const text = `${minimal}limits: {connections: 7}\n`;
    assert.equal(parseConfig(text, []).settings.limits.connections, 7);
    assert.equal(parseConfig(text, ["limits.connections=9"]).settings.limits.connections, 9);
  });

  test("with an override that is a text though YAML would not think so", () => {
    assert.equal(parseConfig(minimal, ["org=17"]).settings.org, "17");
    assert.equal(parseConfig(minimal, ['org="17"']).settings.org, "17");
  });

  test("with a list as an override", () => {
    assert.deepEqual(parseConfig(minimal, ["hosts=[a, b]"]).settings.hosts, ["a", "b"]);
  });

  test("when every key of a group is commented out", () => {
    assert.equal(
      parseConfig(`${minimal}limits:\n  # inflight: 3\n`, []).settings.limits.inflight,
      256,
    );
  });

  for (const address of ["0.0.0.0", "::", "::1", "192.0.2.1", "2001:db8::1"]) {
    test(`with the listener's address ${address}`, () => {
      const { settings } = parseConfig(minimal, [`listeners.wss.address=${address}`]);
      assert.equal(settings.listeners.wss.address, address);
    });
  }
});

describe("a finding is made", () => {
  const weaker = [
    "listeners.mqtts.accept=both",
    "listeners.wss.accept=both",
    "listeners.tokenMqtts.accept=token",
    "listeners.tokenWss.accept=token",
    "tls.profile=modern",
    "tls.minVersion=TLSv1.2",
    "listeners.est.minVersion=TLSv1.2",
    "webSocketOrigins=[http://a.example]",
    "feed.maximumAgeSeconds=86401",
    "limits.connectionsPerSubject.device=2",
    "limits.connectionsPerSubject.person=101",
    "limits.connectTimeoutMs=30001",
    "limits.preAuthBytes=16385",
    "limits.keepAliveSeconds.max=3601",
    "limits.retainedSeconds=40000000",
  ];
  for (const override of weaker) {
    test(`of ${override}`, () => {
      const { findings } = parseConfig(minimal, [override]);
      assert.deepEqual(
        findings.map(({ key }) => key),
        [override.slice(0, override.indexOf("="))],
      );
    });
  }

  test("of every option that has a weaker value, and of no other", () => {
    const keys = options.filter(({ secure }) => secure).map(({ key }) => key);
    assert.deepEqual(
      keys,
      weaker.map((override) => override.slice(0, override.indexOf("="))),
    );
  });

  test("of a default by no option", () => {
    for (const { key, secure, default: value } of options) {
      if (secure && value !== undefined) assert.ok(secure(value), key);
    }
  });
});

describe("the table of options", () => {
  test("has exactly the keys of the settings", () => {
    const { settings, controlListeners, published, anchor } = parseConfig(minimal, []);
    const found = [
      ...leaves(settings),
      ...leaves({ listeners: controlListeners, certificates: published, anchor }),
    ];
    assert.deepEqual(found.sort(), options.map(({ key }) => key).sort());
  });

  test("has defaults that it takes itself", () => {
    for (const { key, default: value } of options) {
      if (value === undefined || key === "trustDomain") continue;
      parseConfig(minimal, [`${key}=${JSON.stringify(value)}`]);
    }
  });

  test("is what docs/config.md shows", () => {
    const file = join(import.meta.dirname, "../../../docs/config.md");
    assert.equal(readFileSync(file, "utf8"), configDocument(), "npm run docs");
  });

  function leaves(value: object, prefix = ""): string[] {
    return Object.entries(value).flatMap(([name, child]) =>
      typeof child === "object" && child !== null && !Array.isArray(child)
        ? leaves(child, `${prefix}${name}.`)
        : [prefix + name],
    );
  }
});

describe("the file that init writes", () => {
  const hosts = ["localhost", "mqtt.a.example"];

  test("is taken, with the defaults", () => {
    const deployment = {
      org: "hospital-1",
      environment: "prod",
      trustDomain: "prod.hospital-1",
      hosts,
    };
    const text = defaultConfigText(deployment);
    const { settings, findings } = parseConfig(text, []);
    const { settings: byDefault } = parseConfig(
      `org: hospital-1\nhosts: [${hosts.join(", ")}]\n`,
      [],
    );
    assert.deepEqual(settings, byDefault);
    assert.deepEqual(findings, []);
  });

  test("shows every limit with its default, ready to be changed", () => {
    const deployment = { org: "a", environment: "b", trustDomain: "b.a", hosts };
    const written = defaultConfigText(deployment).replaceAll(/^( +)# ( *\w+:)/gm, "$1$2");
    const limits = options.filter(({ key }) => key.startsWith("limits."));
    for (const { key } of limits) {
      const last = key.slice(key.lastIndexOf(".") + 1);
      assert.match(written, new RegExp(`^ +${last}: \\d+`, "m"), key);
    }
    const { settings } = parseConfig(written, []);
    assert.deepEqual(settings, parseConfig(defaultConfigText(deployment), []).settings);
  });

  for (const org of ["17", "true", "null", "1e3", "0x10", "-", "no"]) {
    test(`keeps the org ${org} a text`, () => {
      const text = defaultConfigText({
        org,
        environment: org,
        trustDomain: `${org}.${org}`,
        hosts,
      });
      const { settings } = parseConfig(text, []);
      assert.deepEqual([settings.org, settings.environment], [org, org]);
    });
  }

  test("keeps a trust domain of its own", () => {
    const text = defaultConfigText({ org: "a", environment: "b", trustDomain: "own", hosts });
    assert.equal(parseConfig(text, []).settings.trustDomain, "own");
  });
});
