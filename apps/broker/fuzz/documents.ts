import { deepStrictEqual } from "node:assert/strict";
import { generateKeyPairSync, sign, verify } from "node:crypto";
import {
  ConfigError,
  defaultConfigText,
  type Option,
  options,
  parseConfig,
  type Value,
} from "@wardmq/config";
import { decodeFeedMessage, encodeFeedMessage, type FeedBody, FeedError } from "@wardmq/feed";
import {
  compilePolicy,
  defaultPolicyText,
  type Policy,
  PolicyError,
  parsePolicy,
  type Subject,
} from "@wardmq/policy";
import { parse } from "yaml";
import { matches } from "../test/topics.ts";
import type { Random } from "./random.ts";

/** A text that was changed and accepted, and gives more than it says: what, and the text. */
class Permissive extends Error {}

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const verifies = (bytes: Uint8Array, signature: Uint8Array) =>
  verify(null, bytes, publicKey, signature);
const configText = defaultConfigText({
  org: "hospital",
  environment: "prod",
  trustDomain: "prod.hospital",
  hosts: ["mqtt.hospital.example"],
}).replaceAll(/^ {2}# /gm, "  "); // every limit is written out
parseConfig(configText, []); // as it is, it is right
const feedLine = encodeFeedMessage(
  {
    type: "change",
    lineage: "a1",
    version: 2,
    issuedAt: 3,
    parts: 0,
    subjects: [],
    change: { policy: parsePolicy(defaultPolicyText()), removedSubjects: ["device:x"] },
  },
  (bytes) => sign(null, bytes, privateKey),
).trimEnd();
const signedBody = decodeFeedMessage(feedLine, verifies);

/** Words that change what a text means more often than a random byte does. */
const words = [
  "#",
  "+",
  "*",
  '"#"',
  "{id}",
  "{",
  "}",
  "[",
  "]",
  ":",
  ": ",
  "\n",
  "  ",
  "- ",
  "null",
  "~",
  "true",
  "0",
  "-1",
  "9e99",
  "0x7f",
  "&a ",
  "*a",
  "<<: ",
  "!!str ",
  "|",
  ">",
  "---\n",
  "%YAML 1.1\n",
  "\t",
  "\u0000",
  "\u202e",
  "__proto__: ",
  "roles:",
  "bindings:",
  "limits:",
  "device:*",
  "service:*",
  "publish:",
  "subscribe:",
  "TLSv1.2",
  "modern",
  "",
];

/** The text after some changes: bytes, words, lines moved, repeated or left out, and an end that is missing. */
export function changed(random: Random, text: string): string {
  let out = text;
  for (let i = random.between(1, 4); i > 0; i -= 1) {
    const at = random.below(out.length + 1);
    const lines = out.split("\n");
    const line = random.below(lines.length);
    const how = random.weighted({
      insert: 5,
      replace: 4,
      remove: 3,
      twice: 2,
      move: 2,
      drop: 2,
      cut: 1,
    });
    if (how === "insert") out = out.slice(0, at) + random.pick(words) + out.slice(at);
    if (how === "replace")
      out = out.slice(0, at) + String.fromCharCode(random.below(128)) + out.slice(at + 1);
    if (how === "remove") out = out.slice(0, at) + out.slice(at + random.between(1, 8));
    if (how === "twice") out = lines.toSpliced(line, 0, lines[line] ?? "").join("\n");
    if (how === "move")
      out = lines
        .toSpliced(line, 1)
        .toSpliced(random.below(lines.length), 0, lines[line] ?? "")
        .join("\n");
    if (how === "drop") out = lines.toSpliced(line, random.between(1, 5)).join("\n");
    if (how === "cut") out = out.slice(0, at);
  }
  return out;
}

/** One check for each document that decides what is allowed: it throws when a change made more of it. */
export const documentChecks: Readonly<Record<string, (random: Random) => void>> = {
  "a line of the feed": checkFeedLine,
  "wardmq.yaml": checkConfig,
  "policy.yaml": checkPolicy,
};

/** A line either is what control signed, or changes nothing. */
function checkFeedLine(random: Random): void {
  const line = changed(random, feedLine);
  let body: FeedBody;
  try {
    body = decodeFeedMessage(line, verifies);
  } catch (error) {
    if (error instanceof FeedError) return;
    throw error;
  }
  try {
    deepStrictEqual(body, signedBody);
  } catch {
    throw new Permissive(`a line that nobody signed was taken: ${line}`);
  }
}

/** Settings either are refused, or are in their ranges; what is weaker than the default is reported. */
function checkConfig(random: Random): void {
  const text = changed(random, configText);
  let config: ReturnType<typeof parseConfig>;
  try {
    config = parseConfig(text, []);
  } catch (error) {
    if (error instanceof ConfigError) return;
    throw error;
  }
  const reported = new Set(config.findings.map(({ key }) => key));
  const listeners = { ...config.settings.listeners, ...config.controlListeners };
  const { anchor, published: certificates } = config;
  const settings = { ...config.settings, listeners, certificates, anchor };
  for (const option of options) {
    const value = valueAt(settings, option.key);
    if (!isInRange(option, value)) {
      throw new Permissive(`${option.key} is ${JSON.stringify(value)}: ${text}`);
    }
    const isWeaker = option.secure !== undefined && !option.secure(value as Value);
    if (isWeaker && !reported.has(option.key)) {
      throw new Permissive(`${option.key} is weaker and nobody was told: ${text}`);
    }
  }
}

function valueAt(settings: object, key: string): unknown {
  return key
    .split(".")
    .reduce<unknown>(
      (found, part) => (found as Record<string, unknown> | undefined)?.[part],
      settings,
    );
}

function isInRange({ type }: Option, value: unknown): boolean {
  switch (type.kind) {
    case "integer":
      return (
        Number.isSafeInteger(value) &&
        Number(value) >= type.minimum &&
        Number(value) <= type.maximum
      );
    case "choice":
      return typeof value === "string" && type.values.includes(value);
    case "text":
      return typeof value === "string" && type.form.accepts(value);
    case "list":
      return (
        Array.isArray(value) &&
        value.length >= type.minimum &&
        value.every((each) => typeof each === "string" && type.form.accepts(each))
      );
  }
}

const uuid = "5f0e3b1c-8d2a-4f6e-9b7c-000000000001";
const device = { org: "hospital", site: "north", ward: "icu", id: uuid };
const subjects: readonly Subject[] = [
  { id: `device:${uuid}`, kind: "device", attributes: device },
  { id: "service:dashboard", kind: "service", attributes: { org: "hospital", id: "dashboard" } },
  { id: "service:other", kind: "service", attributes: { org: "hospital", id: "other" } },
];
const topics = [
  ...["telemetry", "alarm", "command", "command/response", "config", "other"].flatMap((channel) => [
    `hospital/north/icu/device/${uuid}/${channel}`,
    `hospital/north/icu/device/another/${channel}`,
    `elsewhere/north/icu/device/${uuid}/${channel}`,
  ]),
  "hospital",
  "x",
  "{org}/{site}/{ward}/device/{id}/telemetry",
  "$SYS/broker",
];

/** A policy either is refused, or allows what its text says to a reader of YAML who knows nothing else. */
function checkPolicy(random: Random): void {
  const text = changed(random, defaultPolicyText());
  let policy: Policy;
  try {
    policy = parsePolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) return;
    throw error;
  }
  const compiled = compilePolicy(policy);
  const read: PlainPolicy = parse(text, { maxAliasCount: 0 });
  for (const subject of subjects) {
    const rights = compiled.rightsOf(subject);
    for (const topic of topics) {
      const may = {
        publish: rights.decidePublish(topic).effect === "Permit",
        subscribe: rights.decideReceive(topic).effect === "Permit",
      };
      for (const action of ["publish", "subscribe"] as const) {
        if (may[action] && !isSaid(read, subject, action, topic)) {
          throw new Permissive(`${subject.id} may ${action} ${topic}: ${text}`);
        }
      }
    }
  }
}

type PlainRule = string | { readonly filter: string };

interface PlainPolicy {
  readonly roles?: Readonly<
    Record<
      string,
      Readonly<Partial<Record<"publish" | "subscribe", readonly PlainRule[] | null>>> | null
    >
  > | null;
  readonly bindings?: readonly { readonly role: string; readonly to: string }[] | null;
}

/** The plain twin of compile and decide: every binding, every filter, braces replaced, levels compared. */
function isSaid(
  policy: PlainPolicy,
  subject: Subject,
  action: "publish" | "subscribe",
  topic: string,
): boolean {
  if (action === "publish" && topic.startsWith("$")) return false;
  return (policy.bindings ?? []).some(({ role, to }) => {
    if (to !== subject.id && to !== `${subject.kind}:*`) return false;
    return (policy.roles?.[role]?.[action] ?? []).some((rule) => {
      const filter = typeof rule === "string" ? rule : rule.filter;
      const levels = filter.split("/").map((level) => {
        const [, name] = /^\{(\w+)\}$/.exec(level) ?? [];
        return name === undefined ? level : (subject.attributes[name] ?? "\0");
      });
      return matches(levels.join("/"), topic);
    });
  });
}
