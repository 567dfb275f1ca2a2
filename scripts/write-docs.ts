/** Writes the pages of docs/ that are made from tables in the code: `node scripts/write-docs.ts`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { configDocument } from "@wardmq/config";

writeFileSync(join(import.meta.dirname, "../docs/config.md"), configDocument());
