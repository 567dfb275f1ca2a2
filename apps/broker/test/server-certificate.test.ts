import assert from "node:assert/strict";
import { createPublicKey, type KeyObject } from "node:crypto";
import { describe, test } from "node:test";
import type { BrokerMessage } from "@wardmq/feed";
import { decodeCertificate, decodeCertificateRequest, decodePems } from "@wardmq/x509";
import { type Authority, issue, type Wanted } from "../../../test/support/certificates.ts";
import { ServerCertificateRenewal } from "../src/door/server-certificate.ts";
import { CredentialFault, type ServerCredential } from "../src/door/server-files.ts";

const hour = 3_600_000;
const day = 24 * hour;
const startedAt = Date.now();
const authority = await issue(undefined, { commonName: "issuing", isAuthority: true });
const stranger = await issue(undefined, { commonName: "issuing", isAuthority: true });
const month = { notBefore: -hour, notAfter: 29 * day };

type Asked = Partial<Wanted> & { readonly by?: Authority };

/** A server certificate as control signs it, or one that differs in what is named. */
async function sign({ by = authority, ...wanted }: Asked = {}): Promise<string> {
  const one = await issue(by, {
    commonName: "WardMQ broker",
    names: [{ dns: "localhost" }],
    usages: ["serverAuth"],
    ...month,
    ...wanted,
  });
  return one.pem + by.pem;
}

/** A renewal whose files lie in memory, and whose clock stands still. */
function renewal(initial: ServerCredential | CredentialFault) {
  const sent: BrokerMessage[] = [];
  const failed: string[] = [];
  const state = {
    found: initial,
    now: startedAt,
    hosts: ["localhost"] as readonly string[],
    trustAnchors: [authority.pem],
    isConnected: true,
    used: 0,
    stamp: 0,
    diskIsFull: false,
  };
  const renewed = new ServerCertificateRenewal({
    files: {
      read: () => {
        if (state.found instanceof CredentialFault) throw state.found;
        return state.found;
      },
      install: (key: KeyObject, pem: string) => {
        if (state.diskIsFull) throw Object.assign(new Error(), { code: "ENOSPC" });
        state.found = credential(pem, key);
        state.stamp += 1;
      },
      stamp: () => String(state.stamp),
    },
    world: () => state,
    send: (message) => {
      if (state.isConnected) sent.push(message);
      return state.isConnected;
    },
    use: () => {
      state.used += 1;
    },
    now: () => state.now,
    failed: (why) => failed.push(why),
  });
  const turn = () => new Promise((next) => setImmediate(next));
  return {
    renewed,
    state,
    sent,
    failed,
    turn,
    /** The public key of the request that was sent last. */
    asked: async () => {
      await turn();
      const message = sent.findLast(({ type }) => type === "certificate-request");
      if (message?.type !== "certificate-request") throw new Error("nothing was asked for");
      return decodeCertificateRequest(new Uint8Array(Buffer.from(message.request, "base64")))
        .publicKey;
    },
    requests: async () => {
      await turn();
      return sent.filter(({ type }) => type === "certificate-request").length;
    },
  };
}

function credential(pem: string, key?: KeyObject, isOurs = true): ServerCredential {
  const [leaf, ...path] = decodePems("CERTIFICATE", pem).map(decodeCertificate);
  if (leaf === undefined) throw new Error("no certificate");
  return {
    key: key === undefined ? "" : key.export({ type: "pkcs8", format: "pem" }).toString(),
    certificate: pem,
    leaf,
    path,
    isOurs,
    isPlain: false,
  };
}

const current = credential(await sign());
const none = () => new CredentialFault("there is none", true);

/** What control could answer that a broker must not take: it has one certificate. */
const answers: readonly (readonly [string, Asked, RegExp])[] = [
  ["for another key", {}, /for another key/],
  ["for another host", { names: [{ dns: "other" }] }, /names are not the hosts/],
  [
    "for one host too many",
    { names: [{ dns: "localhost" }, { dns: "other" }] },
    /names are not the hosts/,
  ],
  ["without a name", { names: [] }, /./],
  ["of a client", { usages: ["clientAuth"] }, /not for a TLS server alone/],
  ["of a server that is a client too", { usages: ["serverAuth", "clientAuth"] }, /server alone/],
  ["of a CA", { isAuthority: true }, /not for a TLS server alone/],
  ["that has expired", { notBefore: -2 * hour, notAfter: -hour }, /not valid now/],
  ["that is not valid yet", { notBefore: hour }, /not valid now/],
  ["that lives for a year", { notAfter: 365 * day }, /lives for longer/],
  ["of a CA that the feed does not name", { by: stranger }, /no issuing CA/],
];

describe("the broker's own certificate", () => {
  for (const [name, asked, why] of answers) {
    test(`is not one ${name}, whoever signed it: the former stays`, async () => {
      const { renewed, state, failed, sent, asked: key } = renewal(current);
      renewed.renew();
      const publicKey = await key();
      const isSameKey = name !== "for another key";
      renewed.take(await sign({ ...asked, ...(isSameKey ? { publicKey } : {}) }));
      assert.equal(state.found, current);
      assert.equal(state.used, 0);
      assert.match(failed.join(), why);
      assert.match(JSON.stringify(sent.at(-1)), /not-renewed/);
    });
  }

  test("is none of a CA that only says it is ours", async () => {
    const { renewed, state, failed, asked } = renewal(current);
    renewed.renew();
    const forged = await sign({ by: stranger, publicKey: await asked() });
    const [leaf = ""] = forged.split(/(?<=-----END CERTIFICATE-----\n)/);
    renewed.take(leaf + authority.pem);
    assert.equal(state.found, current);
    assert.match(failed.join(), /no issuing CA/);
  });

  test("is nothing that is no certificate, and nothing that nobody asked for", async () => {
    const { renewed, state, asked } = renewal(current);
    renewed.take(await sign());
    renewed.renew();
    await asked();
    renewed.take("no certificate");
    assert.equal(state.found, current);
  });

  test("stays the former one when control refuses or the disk is full, and is asked for again later", async () => {
    const { renewed, state, failed, asked, requests } = renewal(current);
    state.now = startedAt + 25 * day;
    renewed.look();
    assert.equal(await requests(), 1);
    renewed.refused("the CA has expired");
    renewed.look();
    assert.equal(await requests(), 1);
    state.now += 61_000;
    renewed.look();
    assert.equal(await requests(), 2);
    state.diskIsFull = true;
    renewed.take(await sign({ publicKey: await asked(), notAfter: 31 * day, notBefore: 2 * day }));
    assert.equal(state.found, current);
    assert.deepEqual(failed, [
      "control refused to sign: the CA has expired",
      "the certificate of control is refused: it can not be written (ENOSPC)",
    ]);
  });

  test("is asked for at two thirds of its life, and not a minute before", async () => {
    const { renewed, state, requests } = renewal(current);
    const due = startedAt - hour + ((29 * day + hour) * 2) / 3;
    state.now = due - 60_000;
    renewed.look();
    assert.equal(await requests(), 0);
    state.now = due + 1_000;
    renewed.look();
    renewed.look(); // the one that was asked for is waited for
    assert.equal(await requests(), 1);
    state.now += 31_000;
    renewed.look();
    assert.equal(await requests(), 2);
  });

  const reasons: readonly (readonly [string, Partial<ReturnType<typeof renewal>["state"]>])[] = [
    ["the hosts are others", { hosts: ["localhost", "second"] }],
    ["another CA signs", { trustAnchors: [stranger.pem, authority.pem] }],
    ["the clock was wrong before", { now: startedAt - 2 * hour }],
    ["there is none", { found: none() }],
    ["the key lies in the clear", { found: { ...current, isPlain: true } }],
  ];
  for (const [name, change] of reasons) {
    test(`is asked for at once when ${name}`, async () => {
      const on = renewal(current);
      Object.assign(on.state, change);
      on.renewed.look();
      assert.equal(await on.requests(), 1);
    });
  }

  test("of the operator is left alone, even when it is asked for", async () => {
    const own = credential(await sign(), undefined, false);
    const { renewed, state, failed, requests } = renewal(own);
    state.hosts = ["other"];
    state.now = startedAt + 400 * day;
    renewed.look();
    renewed.renew();
    assert.equal(await requests(), 0);
    assert.match(failed.join(), /operator's own/);
  });

  test("has a new key with every request, which no message holds but in public", async () => {
    const { renewed, state, sent, asked } = renewal(current);
    renewed.renew();
    const first = await asked();
    renewed.take(await sign({ publicKey: first }));
    renewed.renew();
    const second = await asked();
    assert.notDeepEqual(first, second);
    const found = state.found as ServerCredential;
    const spki = createPublicKey(found.key).export({ type: "spki", format: "der" });
    assert.deepEqual(new Uint8Array(spki), first);
    const secret = found.key.split("\n")[1] ?? "";
    assert.ok(secret.length > 40 && !JSON.stringify(sent).includes(secret));
  });

  test("is in use, and said to control, as soon as it is taken", async () => {
    const { renewed, state, sent, asked } = renewal(none());
    let isReady = false;
    const ready = renewed.ready().then(() => {
      isReady = true;
    });
    renewed.look();
    const publicKey = await asked();
    assert.equal(isReady, false);
    renewed.take(await sign({ publicKey }));
    await ready;
    assert.equal(state.used, 1);
    const { leaf } = state.found as ServerCredential;
    assert.deepEqual(sent.at(-1), {
      type: "server-certificate",
      serialNumber: Buffer.from(leaf.serialNumber).toString("hex").toUpperCase(),
      ...leaf.validity,
      isOurs: true,
    });
  });

  test("is not waited for when the files are the operator's to mend", async () => {
    const { renewed } = renewal(new CredentialFault("the key is damaged: restore it"));
    await assert.rejects(renewed.ready(), /damaged/);
  });

  test("waits for control to come back, and is served without it meanwhile", async () => {
    const { renewed, state, requests } = renewal(current);
    state.isConnected = false;
    state.now = startedAt + 25 * day;
    await renewed.ready();
    renewed.look();
    assert.equal(await requests(), 0);
    state.isConnected = true;
    renewed.look();
    assert.equal(await requests(), 1);
  });
});
