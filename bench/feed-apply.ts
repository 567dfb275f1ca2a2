/** Takes the lines of a snapshot from a file as a broker does and prints what that cost: `feed-apply.ts FILE PUBLIC-KEY`. */
import { createPublicKey, verify } from "node:crypto";
import { createReadStream } from "node:fs";
import { decodeFeedMessage, LineSplitter, maximumFeedLineBytes } from "@wardmq/feed";
import { RecordTable } from "../apps/broker/src/enforcement/record-table.ts";
import { Subjects } from "../apps/broker/src/enforcement/subjects.ts";

const [file = "", key = ""] = process.argv.slice(2);
const publicKey = createPublicKey(key);
const splitter = new LineSplitter(maximumFeedLineBytes);
const subjects = new Subjects();
const table = new RecordTable();
const rssBefore = process.memoryUsage.rss();
const startedAt = performance.now();
for await (const chunk of createReadStream(file)) {
  for (const line of splitter.push(chunk as Buffer)) {
    const body = decodeFeedMessage(line, (bytes, signature) =>
      verify(null, bytes, publicKey, signature),
    );
    if ("subjects" in body) for (const subject of body.subjects) table.put(subject);
  }
}
subjects.replaceAll(table);
const milliseconds = performance.now() - startedAt;
await new Promise((resolve) => setTimeout(resolve, 500));
const megabytes = (process.memoryUsage.rss() - rssBefore) / 1e6;
process.stdout.write(JSON.stringify({ subjects: subjects.size, milliseconds, megabytes }));
