import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { matrixText } from "./matrix-document.ts";

await writeFile(join(import.meta.dirname, "../../docs/authorization-matrix.md"), matrixText());
