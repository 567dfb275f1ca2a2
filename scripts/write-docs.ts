/** Writes the pages of docs/ that are made from tables of the packages, for `npm run docs`. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { apiDocument, commands } from "@wardmq/commands";
import { configDocument } from "@wardmq/config";
import { policyJsonSchema, policyReference, standardAssertions } from "@wardmq/policy";

const pages = {
  "api.md": apiDocument(commands),
  "config.md": configDocument(),
  "policy-reference.md": policyReference(standardAssertions),
  "policy.schema.json": `${JSON.stringify(policyJsonSchema(), undefined, 2)}\n`,
};
for (const [name, text] of Object.entries(pages)) {
  writeFileSync(join(import.meta.dirname, "../docs", name), text);
}
