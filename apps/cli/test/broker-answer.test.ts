import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Failure } from "../src/failure.ts";
import {
  explainNoConnection,
  explainNoRenewal,
  explainRefusal,
} from "../src/login/broker-answer.ts";

const url = "wss://mqtt.example:8885/mqtt";
const file = "hospital.token.json";
const withCode = (code: string | number, message = "x") =>
  Object.assign(new Error(message), { code });

describe("what a person is told of a connection that failed", () => {
  test("is what the broker said, with the name and number of the Reason Code and the Reason String", () => {
    const busy = { reasonCode: 0x97, properties: { reasonString: "a quota\u001b[2J" } };
    const { message, hint } = explainNoConnection(withCode(0x97), busy, url, file);
    assert.equal(
      message,
      'the broker refused the connection: Quota exceeded (0x97), "a quota\\u{1b}[2J"',
    );
    assert.match(hint, /^wardmq events DIR/);
    const unknown = explainNoConnection(withCode(0xf0), { reasonCode: 0xf0 }, url, file);
    assert.equal(unknown.message, "the broker refused the connection: Reason Code (0xf0)");
  });

  test("names what tells why a token was refused: its checks, or a ban", () => {
    const { hint } = explainNoConnection(withCode(0x87), { reasonCode: 0x87 }, url, file);
    assert.match(hint, /wardmq token explain DIR --file hospital\.token\.json .*wardmq bans DIR /);
  });

  test("tells the network, TLS, silence and a login that has ended apart", () => {
    const told = (error: Error | undefined) =>
      explainNoConnection(error, undefined, url, file).message;
    assert.equal(
      told(withCode("ECONNREFUSED")),
      "nothing listens at mqtt.example:8885 (ECONNREFUSED)",
    );
    assert.equal(told(withCode("EAI_AGAIN")), "the host mqtt.example is unknown (EAI_AGAIN)");
    assert.match(told(withCode("EHOSTUNREACH")), /can not be reached/);
    assert.match(told(withCode("CERT_HAS_EXPIRED")), /is not trusted \(CERT_HAS_EXPIRED\)/);
    assert.match(told(withCode("ERR_TLS_CERT_ALTNAME_INVALID")), /is not for mqtt\.example/);
    assert.match(told(withCode("ERR_SSL_NO_PROTOCOLS")), /ended the connection before MQTT began/);
    assert.equal(told(undefined), "mqtt.example:8885 ended the connection before MQTT began");
    assert.match(told(new Error("no answer in time")), /: no answer in time$/);
    const ended = new Failure(1, "the login has ended", "run wardmq login");
    assert.equal(explainNoConnection(ended, undefined, url, file), ended);
  });

  test("is no refused connection where a renewal in it was refused", () => {
    const refused = withCode(0x87, "Publish error: Not authorized");
    const accepted = { reasonCode: 0 };
    assert.doesNotMatch(explainNoConnection(refused, accepted, url, file).message, /refused the/);
    assert.equal(
      explainNoRenewal(refused).message,
      "the broker did not take the next token: Publish error: Not authorized",
    );
    const ended = new Failure(1, "the login has ended", "run wardmq login");
    assert.equal(explainNoRenewal(ended), ended);
  });
});

describe("what a person is told of a message or filter that was not taken", () => {
  test("names the policy for a denial only", () => {
    const denied = explainRefusal("subscribe", "a/\u202e#", { reasonCode: 0x87 });
    assert.match(
      denied.message,
      /^not allowed to subscribe to a\/\\u\{202e\}#: Not authorized \(0x87\)/,
    );
    assert.match(
      denied.hint,
      /^wardmq policy explain DIR SUBJECT subscribe .*--claim .*--attribute/,
    );
    const full = explainRefusal("publish", "a", { reasonCode: 0x97 });
    assert.equal(full.message, "cannot publish to a: Quota exceeded (0x97)");
    assert.doesNotMatch(full.hint, /policy/);
    assert.equal(explainRefusal("publish", "a", "no").message, "cannot publish to a: no");
  });
});
