import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describePart, diffPolicies, parsePolicy } from "../src/index.ts";

const former = `environment: prod
topics:
  templates: ["{org}/{site}/{ward}/device/{uuid}/{channel}", "{org}/old/{name}"]
  levels: { channel: [telemetry, alarm], site: [main] }
tenants:
  st-anna: {}
  st-bert: { topics: { schema: off } }
roles:
  pump:
    limits: { messagesPerSecond: 10, connections: 1 }
  nurse:
    requires: { amr: [mfa] }
grants:
  - { role: pump, to: "service:a", where: { ward: icu }, until: "2026-12-01T00:00:00Z", reason: x, approvedBy: y }
claims:
  - { issuer: idp, claim: groups, value: nurses, role: nurse }
phi: { mode: block, recordNumbers: ["MR######"], allow: [unit-7] }
assert:
  - { id: no-commands, never: publish, on: ["+/+/+/device/+/command"], except: [pump] }
  - { id: gone, never: stray }
`;
const next = `environment: test
topics:
  schema: strict
  templates: ["{org}/new/{name}", "{org}/{site}/{ward}/device/{uuid}/{channel}"]
  levels: { channel: [alarm, telemetry, command], site: [main] }
  commands: [{ topic: "{org}/{site}/{ward}/device/{uuid}/command", within: 10 }]
tenants:
  st-anna: { topics: { schema: strict, templates: ["{org}/{uuid}"] } }
  st-carl: {}
roles:
  pump:
    limits: { messagesPerSecond: 20, inflight: 5 }
  nurse:
    requires: { amr: [mfa, hwk], certificateBound: true }
grants:
  - { role: pump, to: "service:a", where: { ward: icu }, until: "2026-11-01T00:00:00Z", reason: z, approvedBy: y }
  - { role: pump, to: "service:b", from: "2026-11-01T00:00:00Z", reason: z, approvedBy: y }
claims:
  - { issuer: idp, claim: [realm, roles], value: nurses, role: nurse }
phi: { mode: warn, recordNumbers: ["MR######"], detectors: { name: block } }
assert:
  - { id: no-commands, never: publish, on: ["+/+/+/device/+/command"] }
  - { id: firmware-command, except: [pump] }
`;
const words = (one: string, other: string) =>
  diffPolicies(parsePolicy(one), parsePolicy(other)).others.map(describePart);

describe("what differs beside rights", () => {
  test("is told by path, with what it was", () => {
    assert.deepEqual(words(former, next), [
      "environment: test, was prod",
      "topics.schema: now strict",
      "topics.templates: now {org}/new/{name}",
      "topics.levels.channel: now command",
      "topics.commands: now {org}/{site}/{ward}/device/{uuid}/command within 10 s",
      "tenants.st-anna.topics.schema: now strict",
      "tenants.st-anna.topics.templates: now {org}/{uuid}",
      "tenants: now st-carl",
      "grants: now pump to service:a, ward icu, until 2026-11-01T00:00:00Z",
      "grants: now pump to service:b, from 2026-11-01T00:00:00Z, without end",
      "claims: now tokens of idp with realm.roles = nurses have the role nurse",
      "roles.pump.limits.messagesPerSecond: 20, was 10",
      "roles.pump.limits.inflight: now 5",
      "roles.nurse.requires.amr: mfa, hwk, was mfa",
      "roles.nurse.requires.certificateBound: now true",
      "phi.mode: warn, was block",
      "phi.detectors.name: now block",
      "assert.no-commands: never publish on +/+/+/device/+/command, was never publish on +/+/+/device/+/command except pump",
      "assert.firmware-command: now as standard except pump",
      "topics.templates: no longer {org}/old/{name}",
      "tenants: no longer st-bert",
      "tenants.st-bert.topics.schema: no longer off",
      "grants: no longer pump to service:a, ward icu, until 2026-12-01T00:00:00Z",
      "claims: no longer tokens of idp with groups = nurses have the role nurse",
      "roles.pump.limits.connections: no longer 1",
      "phi.allow: no longer unit-7",
      "assert.gone: no longer never stray",
    ]);
  });

  test("is nothing where only places, comments and the order of lists differ", () => {
    assert.deepEqual(words(former, former), []);
    const moved = `# a comment\n\n${former.replace("[telemetry, alarm]", "[alarm, telemetry]")}`;
    assert.deepEqual(words(former, moved), []);
  });

  test("has its place in the policy that says it", () => {
    const { others } = diffPolicies(parsePolicy(former), parsePolicy(next));
    const lines = Object.fromEntries(others.map(({ path, place }) => [path, place.line]));
    assert.equal(lines["roles.pump.limits.messagesPerSecond"], 12);
    assert.equal(lines["assert.no-commands"], 22);
    assert.equal(lines["assert.gone"], 20);
  });
});
