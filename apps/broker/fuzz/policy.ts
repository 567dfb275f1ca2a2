import { matches } from "../test/topics.ts";

/** The policy of the fuzz: `tester` may do all, `limited` and devices little. */
export const fuzzPolicy = `
roles:
  tester: { publish: ["#"], subscribe: ["#", "$SYS/#"] }
  limited: { publish: ["allowed/#"], subscribe: ["allowed/#"] }
  bedside-device:
    publish: ["{org}/{site}/{ward}/device/{id}/telemetry", "{org}/{site}/{ward}/device/{id}/alarm"]
    subscribe: ["{org}/{site}/{ward}/device/{id}/command"]
bindings:
  - { role: tester, to: "service:tester" }
  - { role: limited, to: "service:limited" }
  - { role: bedside-device, to: "device:*" }
`;

export const deviceTopic = (uuid: string, channel: string) =>
  `hospital/north/icu/device/${uuid}/${channel}`;

/** What a subject may do, written out once more by hand: the plain twin of the policy above. */
export function mayPublish(subject: string, topic: string): boolean {
  if (topic.startsWith("$")) return false;
  if (subject === "tester") return true;
  if (subject === "limited") return matches("allowed/#", topic);
  return ["telemetry", "alarm"].some((channel) => topic === deviceTopic(subject, channel));
}

export function mayReceive(subject: string, topic: string): boolean {
  if (subject === "tester") return !topic.startsWith("$") || matches("$SYS/#", topic);
  if (subject === "limited") return matches("allowed/#", topic);
  return topic === deviceTopic(subject, "command");
}

/** A filter is allowed when every topic it can ever match is. */
export function maySubscribe(subject: string, filter: string): boolean {
  if (subject === "tester") return !filter.startsWith("$") || matches("$SYS/#", filter);
  if (subject === "limited") return filter === "allowed" || filter.startsWith("allowed/");
  return filter === deviceTopic(subject, "command");
}
