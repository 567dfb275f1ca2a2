/** Writes docs/events.md: `node packages/events/test/write-docs.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventsDocument } from "./document.ts";

writeFileSync(join(import.meta.dirname, "../../../docs/events.md"), eventsDocument());
