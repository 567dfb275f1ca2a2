import { createHash } from "node:crypto";
import type { SubjectSummary } from "@wardmq/commands";
import { Failure } from "../failure.ts";

/** The strong ETag (RFC 9110 section 8.8.3) of a record as results show it, from its JSON. */
export function etagOf(json: string): string {
  return `"${createHash("sha256").update(json).digest("base64url").slice(0, 22)}"`;
}

/** Refuses a change of a record that is no longer the one its caller looked at. */
export function refuseUnlessMatching(record: SubjectSummary, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch === "*" || ifMatch === etagOf(JSON.stringify(record)))
    return;
  throw new Failure("ERR_PRECONDITION", `${record.id} has been changed since it was looked at`, {
    hint: "look at it again: its ETag is another one",
  });
}
