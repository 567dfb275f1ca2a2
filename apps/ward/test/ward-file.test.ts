import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readWard, type Ward } from "../src/ward-file.ts";

const good = {
  host: "localhost",
  port: 8883,
  org: "demo",
  devices: [
    { id: "a-1", kind: "pump", site: "north", ward: "icu", credential: "demo/devices/a-1" },
  ],
  dashboard: { credential: "demo/dashboard" },
  connect: ["connect your own client:", "  mosquitto_sub --key '/home/jürgen/key.pem'"],
};

/** Reads the ward of a deployment that is made for it and removed again. */
function read(file: unknown, without?: string): Ward {
  const directory = mkdtempSync(join(tmpdir(), "ward-"));
  try {
    for (const folder of ["demo/devices/a-1", "demo/dashboard"]) {
      mkdirSync(join(directory, folder), { recursive: true });
      for (const name of ["key.pem", "cert.pem", "ca.pem"]) {
        if (`${folder}/${name}` !== without)
          writeFileSync(join(directory, folder, name), `${folder} ${name}`);
      }
    }
    const text = typeof file === "string" ? file : JSON.stringify(file);
    if (file !== undefined) writeFileSync(join(directory, "demo", "ward.json"), text);
    return readWard(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("ward.json", () => {
  const device = good.devices[0];
  const refused: readonly (readonly [string, unknown, RegExp])[] = [
    ["is missing", undefined, /cannot read .*ward\.json: ENOENT/],
    ["is not JSON", "{", /ward\.json is not JSON/],
    ["is a list", [], /the file must be an object/],
    ["has no host", { ...good, host: undefined }, /: host must be a host name/],
    ["has a port out of range", { ...good, port: 70_000 }, /: port must be a port/],
    ["has a port as text", { ...good, port: "8883" }, /: port must be a port/],
    ["has an org with a wildcard", { ...good, org: "#" }, /: org must be/],
    ["has no devices", { ...good, devices: {} }, /: devices must be a list/],
    [
      "has an unknown kind",
      { ...good, devices: [{ ...device, kind: "bed" }] },
      /devices\[0\]\.kind must be/,
    ],
    [
      "has an id with a slash",
      { ...good, devices: [{ ...device, id: "a/b" }] },
      /devices\[0\]\.id must be/,
    ],
    [
      "has a credential elsewhere",
      { ...good, dashboard: { credential: "../other" } },
      /dashboard\.credential must be a folder inside/,
    ],
    [
      "has a line with an escape",
      { ...good, connect: ["\u001b[2J"] },
      /connect\[0\] must be text without control/,
    ],
  ];
  for (const [name, file, message] of refused) {
    test(`is refused when it ${name}`, () => {
      assert.throws(() => read(file), { name: "WardFileError", message });
    });
  }

  test("is refused when a credential cannot be read", () => {
    assert.throws(() => read(good, "demo/devices/a-1/key.pem"), {
      message: /a-1.key\.pem: ENOENT/,
    });
  });

  test("is read with every credential it names", () => {
    const ward = read(good);
    assert.equal(ward.devices[0]?.credential.key, "demo/devices/a-1 key.pem");
    assert.equal(ward.dashboard.ca, "demo/dashboard ca.pem");
    assert.deepEqual(ward.connect, good.connect);
  });
});
