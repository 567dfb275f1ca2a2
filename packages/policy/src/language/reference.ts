import { phiDetectors } from "../phi/detectors.ts";
import { assertionForms, policyShape } from "./language.ts";
import { policyLimits } from "./policy.ts";
import type { Field, RecordShape, Shape } from "./shape.ts";
import { standardTopics } from "./template.ts";

/** The page docs/policy-reference.md: every key of the language, written from the table that the reader reads. */
export function policyReference(
  standardAssertions: readonly { readonly id: string; readonly summary: string }[],
): string {
  const { templates, levels } = standardTopics;
  const assertions = standardAssertions.map(({ id, summary }) => `| \`${id}\` | ${summary} |`);
  const detectors = Object.entries(phiDetectors).map(
    ([name, { mode, summary }]) => `| \`${name}\` | ${mode} | ${summary} |`,
  );
  const forms = Object.entries(assertionForms).map(
    ([form, meaning]) => `| \`${form}\` | ${meaning} |`,
  );
  return `# Reference of the policy

Written from the code by \`npm run docs\`; [policy.md](policy.md) is the guide. Any other key is an error, and so is a
key given twice. YAML anchors, aliases, tags, directives and further documents are refused. A policy is the file \`policy.yaml\`, or a folder
\`policy\` of \`.yaml\` files that are read in the order of their names: lists are joined, names must differ.
Editors take [policy.schema.json](policy.schema.json): \`# yaml-language-server: $schema=...\` as the first line of the file.
WardMQ reads YAML 1.2. A tool that still reads YAML 1.1 takes the key \`on\` of an assertion for true, and says that it is unknown: write
\`"on"\` in quotes where one is used; here both are the same.

A policy has at most ${policyLimits.fileBytes} bytes a file and ${policyLimits.rules} rules; a filter has at most ${policyLimits.filterBytes} bytes and ${policyLimits.filterLevels} levels.

${sections(policyShape, "").join("\n\n")}

## Standard topics

What a policy has that writes no \`topics\`:

${templates.map((template) => `- \`${template}\``).join("\n")}

\`{channel}\` is one of ${levels.channel.map((channel) => `\`${channel}\``).join(", ")}.

## What is taken for a patient's

| Detector | Mode | Sees |
|---|---|---|
${detectors.join("\n")}

## Assertions

| \`never\` | Means that |
|---|---|
${forms.join("\n")}

These hold for every tenant with a topic schema, and a policy that breaks one is refused:

| Assertion | Means that |
|---|---|
| \`inside-tenant\` | every filter begins with \`{org}\`, or with the name of its tenant |
${assertions.join("\n")}
`;
}

/** A table for a record, then one for each record inside of it. */
function sections({ fields }: RecordShape, path: string): readonly string[] {
  const title = path === "" ? "## The file" : `## \`${path}\``;
  const rows = Object.entries(fields).map(([key, field]) => row(key, field));
  const table = [title, "", "| Key | Value | Meaning |", "|---|---|---|", ...rows].join("\n");
  const inner = Object.entries(fields).flatMap(([key, { shape }]) =>
    recordsIn(shape, path === "" ? key : `${path}.${key}`),
  );
  return [table, ...inner];
}

function recordsIn(shape: Shape, path: string): readonly string[] {
  switch (shape.is) {
    case "record":
      return sections(shape, path);
    case "list":
      return recordsIn(shape.of, `${path}[]`);
    case "named":
      return recordsIn(shape.of, `${path}.NAME`);
    case "short":
      return shape.record ? sections(shape.record, path) : [];
    default:
      return [];
  }
}

function row(key: string, { shape, isRequired, summary }: Field): string {
  const meaning = isRequired ? `required: ${summary}` : summary;
  return `| \`${key}\` | ${shownValue(shape)} | ${meaning} |`;
}

function shownValue(shape: Shape): string {
  switch (shape.is) {
    case "text":
      return shape.oneOf ? shape.oneOf.map((text) => `\`${text}\``).join(", ") : shape.what;
    case "number":
      return `a number from ${shape.minimum} to ${shape.maximum}`;
    case "truth":
    case "named":
    case "list":
      return shape.what;
    case "record":
      return "a map, see below";
    case "short":
      return shape.record ? `${shape.text.what}, or a map` : shape.text.what;
  }
}
