// A reporter for `node --test`: failures in full, why tests were skipped, and one closing line.
import { relative } from "node:path";

export default async function* terseReporter(source) {
  const skipped = new Map();
  for await (const { type, data } of source) {
    if (type === "test:stdout" || type === "test:stderr") {
      if (data.message.trim() !== "") yield data.message;
    } else if (type === "test:pass" && data.skip !== undefined && data.details.type !== "suite") {
      const why = typeof data.skip === "string" && data.skip !== "" ? data.skip : "no reason given";
      skipped.set(why, (skipped.get(why) ?? 0) + 1);
    } else if (type === "test:fail" && !isOnlyItsChildren(data)) {
      yield failure(data);
    } else if (type === "test:summary" && data.file === undefined) {
      for (const [why, number] of skipped) yield `skipped ${number}: ${why}\n`;
      yield closing(data.counts);
    }
  }
}

/** A suite or a file fails because a test in it failed; that one is reported. */
function isOnlyItsChildren({ details }) {
  return details.error?.failureType === "subtestsFailed";
}

function failure({ name, file, line, details }) {
  const error = details.error?.cause ?? details.error;
  const text = error?.stack ?? error?.message ?? String(error);
  return `(fail) ${name}\n  at ${file ? relative(process.cwd(), file) : "?"}:${line ?? "?"}\n${text.replace(/^/gm, "  ")}\n`;
}

function closing({ passed, failed, cancelled, skipped, todo }) {
  return `total ${passed} passed, ${failed + cancelled} failed, ${skipped + todo} skipped\n`;
}
