/** Nanoseconds for each decision; `node packages/policy/bench/decide.bench.ts`, with Bun likewise. */
import { parseTopicFilter, parseTopicName, topicMatches } from "@wardmq/mqtt";
import { compilePolicy, defaultPolicyText, parsePolicy, type Subject } from "../src/index.ts";

const runs = 9;
const callsPerRun = 100_000;
let sink = 0;

/** Of some runs after one to warm up, the quickest and the median; they differ where the machine is busy. */
function nanoseconds(work: (i: number) => unknown): readonly [quickest: number, median: number] {
  const measured: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const start = performance.now();
    for (let i = 0; i < callsPerRun; i++) if (work(i) !== undefined) sink += 1;
    if (run > 0) measured.push(((performance.now() - start) * 1e6) / callsPerRun);
  }
  measured.sort((a, b) => a - b);
  return [Math.round(measured[0] ?? 0), Math.round(measured[runs >> 1] ?? 0)];
}

const uuids = Array.from(
  { length: 1000 },
  (_, i) => `5f0e3b1c-8d2a-4f6e-9b7c-${i.toString(16).padStart(12, "0")}`,
);
const subjects = uuids.map((id): Subject => {
  const attributes = { org: "st-anna", site: "main", ward: "icu-1", id, model: "mx-450" };
  return { id: `device:${id}`, kind: "device", attributes };
});
const subject = subjects[0] as Subject;
const base = `st-anna/main/icu-1/device/${subject.attributes["id"]}`;
const channels = Array.from({ length: 10 }, (_, i) => `{org}/{site}/{ward}/device/{id}/ch-${i}`);
const off = { schema: "off" };
const tenRules = JSON.stringify({
  topics: off,
  roles: { r: { publish: channels, subscribe: channels } },
  bindings: [{ role: "r", to: "device:*" }],
});
const small = compilePolicy(parsePolicy(defaultPolicyText()));
const ten = compilePolicy(parsePolicy(tenRules));
const rights = ten.rightsOf(subject);
const last = `${base}/ch-9`;
const filters = channels.map((_, i) => parseTopicFilter(`${base}/ch-${i}`));
const name = parseTopicName(last);

/** 10,000 rules of one role under the standard schema, and as many roles as a policy of many services has. */
const many = Array.from({ length: 10_000 }, (_, i) => `{org}/{site}/w-${i}/device/{id}/alarm`);
const manyRules = JSON.stringify({
  roles: { r: { publish: many, subscribe: many } },
  bindings: [{ role: "r", to: "device:*" }],
});
const crowded = compilePolicy(parsePolicy(manyRules));
const crowd = crowded.rightsOf(subject);
const ward = (i: number) => `st-anna/main/w-${i}/device/${subject.attributes["id"]}/alarm`;

const rows: readonly (readonly [string, (i: number) => unknown])[] = [
  ["rightsOf, default policy", (i) => small.rightsOf(subjects[i % 1000] as Subject)],
  ["rightsOf, 10 + 10 rules", (i) => ten.rightsOf(subjects[i % 1000] as Subject)],
  ["decidePublish, 10 rules, the first permits", () => rights.decidePublish(`${base}/ch-0`)],
  ["decidePublish, 10 rules, the last permits", () => rights.decidePublish(last)],
  ["decidePublish, 10 rules, Deny", () => rights.decidePublish(`${base}/other`)],
  ["decideReceive, 10 rules, the last permits", () => rights.decideReceive(last)],
  ["decideSubscribe, 10 rules, the last permits", () => rights.decideSubscribe(last)],
  ["decideSubscribe, 10 rules, Deny", () => rights.decideSubscribe(`${base}/+`)],
  ["decideSubscribe, 10 rules, Deny of #", () => rights.decideSubscribe("#")],
  ["decidePublish, 10,000 rules, any permits", (i) => crowd.decidePublish(ward(i % 10_000))],
  [
    "rightsOf and decidePublish, 10,000 rules, a subject and topic at a time",
    (i) => crowded.rightsOf(subjects[i % 1000] as Subject).decidePublish(ward(i % 10_000)),
  ],
  ["decidePublish, 10,000 rules, Deny", (i) => crowd.decidePublish(ward(10_000 + (i % 1000)))],
  ["decideSubscribe, 10,000 rules, any permits", (i) => crowd.decideSubscribe(ward(i % 10_000))],
  [
    "decideSubscribe, 10,000 rules, Deny of +",
    () => crowd.decideSubscribe("st-anna/main/+/device/+/alarm"),
  ],
  [
    "twin: topicMatches over 10 substituted filters",
    () => filters.some((f) => topicMatches(f, name)),
  ],
];
/** What the rights of devices hold that all have one role, of a heap that was collected before and after. */
function bytesOfDevices(count: number): number {
  const used = () => {
    for (let i = 0; i < 3; i += 1) globalThis.gc?.();
    return process.memoryUsage().rss;
  };
  const records = Array.from({ length: count }, (_, i): Subject => {
    const id = `5f0e3b1c-8d2a-4f6e-9b7c-${i.toString(16).padStart(12, "0")}`;
    return { ...subject, id: `device:${id}`, attributes: { ...subject.attributes, id } };
  });
  const before = used();
  const all = records.map((one) => crowded.rightsOf(one));
  sink += all.length;
  return Math.round((used() - before) / count);
}

const column = (text: string | number) => String(text).padStart(9);
console.log(`${column("quickest")}${column("median")}  ns per call`);
for (const [what, work] of rows) {
  const [quickest, median] = nanoseconds(work);
  console.log(`${column(quickest)}${column(median)}  ${what}`);
}
const bytes = bytesOfDevices(100_000);
console.log(`${column(bytes)}  bytes for each of 100,000 devices with the role of 10,000 rules`);
if (sink === 0) throw new Error("nothing was measured");
