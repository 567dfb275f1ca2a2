/** `node packages/mqtt/bench/topic-match.bench.ts`: topicMatches and its twin on the topics of a ward. */
import { parseTopicFilter, parseTopicName, topicMatches } from "../src/index.ts";
import { matchesByLevels } from "../test/topic-twin.ts";
import { measure } from "./measure.ts";

const device = "0f8fad5b-d9cb-469f-a165-70867728950e";
const name = parseTopicName(`north/main/icu-1/device/${device}/telemetry`);
const filters = {
  "the topic itself": name,
  "a dashboard: org/+/+/device/+/telemetry": "north/+/+/device/+/telemetry",
  "another channel: org/+/+/device/+/alarm": "north/+/+/device/+/alarm",
  "another organisation": "south/+/+/device/+/telemetry",
  "a ward: org/site/ward/#": "north/main/icu-1/#",
  "#": "#",
};

for (const [what, text] of Object.entries(filters)) {
  const filter = parseTopicFilter(text);
  measure(`topicMatches, ${what}`, () => topicMatches(filter, name));
  measure(`  its twin`, () => matchesByLevels(filter, name));
}
