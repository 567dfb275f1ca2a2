/** Writes docs/limits.md, for `npm run docs`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { limitsDocument } from "./document.ts";

writeFileSync(join(import.meta.dirname, "../../docs/limits.md"), limitsDocument());
