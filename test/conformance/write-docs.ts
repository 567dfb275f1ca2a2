import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { conformanceText } from "./coverage.ts";

await writeFile(join(import.meta.dirname, "../../docs/conformance.md"), conformanceText());
