/** Writes docs/events.md, for `npm run docs`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventsDocument } from "./document.ts";

writeFileSync(join(import.meta.dirname, "../../../docs/events.md"), eventsDocument());
