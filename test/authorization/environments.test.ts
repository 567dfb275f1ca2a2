import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, describe, test } from "node:test";
import { newCredential, startDeployment } from "../support/deployment.ts";
import { RawClient } from "../support/raw-client.ts";
import { openWebSocket } from "../support/web-socket.ts";
import { openTls, tlsWire } from "../support/wire.ts";
import { eventWhere } from "./events.ts";
import { hex } from "./scene.ts";

const environments = ["prod", "test"] as const;
const uuid = randomUUID();
const clientIds = { device: uuid, service: "tester" } as const;

/** One hospital's deployment; each has the same device and service, so that only the environment tells them apart. */
async function startEnvironment(environment: string) {
  const deployment = await startDeployment({ environment, services: ["tester"], devices: 0 });
  const { id } = await deployment.command("device.add", { site: "north", ward: "icu", id: uuid });
  const device = await newCredential(deployment.command, id);
  return { deployment, credentials: { device, service: deployment.credential("tester") } };
}

const [prod, trial] = await Promise.all([startEnvironment("prod"), startEnvironment("test")]);
const of = { prod, test: trial };
after(() => Promise.all([prod.deployment.stop(), trial.deployment.stop()]));

interface Attempt {
  readonly home: (typeof environments)[number];
  readonly door: (typeof environments)[number];
  readonly kind: keyof typeof clientIds;
  readonly via: "mqtts" | "wss";
  readonly version: 4 | 5;
}

/** Comes to a door with the credential of `home`: how CONNECT was answered, if it came to that. */
async function answerTo({ home, door, kind, via, version }: Attempt): Promise<string> {
  const { deployment, credentials } = of[door];
  const { ca } = credentials[kind]; // it trusts the broker that it comes to
  const socket = await openTls(deployment[via], { ...of[home].credentials[kind], ca });
  try {
    const wire = via === "wss" ? await openWebSocket(socket) : tlsWire(socket);
    const { reasonCode } = await new RawClient(wire, version).connect({
      clientId: clientIds[kind],
    });
    return hex(reasonCode);
  } catch (error) {
    if (error instanceof Error && error.message.includes("nothing came in time")) throw error;
    return "not let in";
  } finally {
    socket.destroy();
  }
}

describe("a tenant that the policy does not name", () => {
  const { command } = prod.deployment;
  const where = { site: "north", ward: "icu" };

  test("gets no device and no service, one by one or from a file", async () => {
    const refused = /clinic is no tenant of the policy/;
    await assert.rejects(command("device.add", { ...where, org: "clinic" }), refused);
    await assert.rejects(command("service.add", { name: "console", org: "clinic" }), refused);
    const devices = [{ ...where, org: "clinic" }];
    const imported = await command("device.import", { devices, dryRun: false });
    assert.deepEqual([imported.added, imported.refused[0]?.field], [0, "org"]);
    assert.deepEqual((await command("list", { org: "clinic" })).subjects, []);
  });

  test("the deployment's own organisation is one without being named", async () => {
    const { attributes } = await command("device.add", { ...where, org: "hospital" });
    assert.equal(attributes["org"], "hospital");
  });
});

describe("prod and test of one hospital", () => {
  for (const door of environments) {
    for (const kind of ["device", "service"] as const) {
      for (const via of ["mqtts", "wss"] as const) {
        for (const version of [4, 5] as const) {
          const how = `${version === 5 ? "5.0" : "3.1.1"} ${kind} over ${via}`;
          for (const home of environments) {
            const isHome = home === door;
            const what = isHome ? "opens its own door" : "is refused at the door";
            test(`${how}: a credential of ${home} ${what} of ${door}`, async () => {
              const answer = await answerTo({ home, door, kind, via, version });
              assert.equal(answer, isHome ? "0x00" : "not let in");
            });
          }
        }
      }
    }

    test(`${door} says why: no certification path leads to a CA of its own`, async () => {
      const refusal = await eventWhere(
        of[door].deployment,
        "a refusal at the door",
        ({ type }) => type === "handshake-refused",
      );
      assert.equal(refusal.check, "certification-path");
    });
  }
});
