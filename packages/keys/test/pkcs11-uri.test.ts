import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parsePkcs11Uri } from "../src/index.ts";
import { fails } from "./contract/key-provider.contract.ts";

describe("a PKCS#11 URI", () => {
  const whole = "pkcs11:token=ward;object=kek?module-path=/lib/p11.so&pin-source=credential:pin";
  for (const [what, uri] of [
    ["without a scheme", whole.slice("pkcs11:".length)],
    ["without a token", whole.replace("token=ward;", "")],
    ["without a source of the PIN", whole.replace("&pin-source=credential:pin", "")],
    ["with the PIN itself", whole.replace("pin-source=credential:pin", "pin-value=1234")],
    ["with another part", `${whole}&slot-id=1`],
    ["with a part twice", `${whole}&pin-source=file:pin`],
    ["with a library that is no whole path", whole.replace("/lib/", "lib/")],
    ["with a source of the PIN of another kind", whole.replace("credential:", "env:")],
    ["with a % that stands for nothing", whole.replace("ward", "%zz")],
  ] as const) {
    test(`is refused ${what}`, () => fails("ERR_KEY_PROVIDER", () => parsePkcs11Uri(uri)));
  }
  test("names library, token, object and source of the PIN", () => {
    assert.deepEqual(parsePkcs11Uri(whole.replace("ward", "north%20ward")), {
      token: "north ward",
      object: "kek",
      modulePath: "/lib/p11.so",
      pinSource: "credential:pin",
    });
  });
});
