import { areas } from "./areas.ts";
import { editions, testName } from "./case.ts";
import type { Statement } from "./statement.ts";
import { statements311 } from "./statements-3.1.1.ts";
import { statements50 } from "./statements-5.0.ts";

export interface CoveredStatement {
  readonly id: string;
  readonly says: string;
  readonly notApplicable: string | undefined;
  /** The names of the tests that prove it. */
  readonly tests: readonly string[];
}

export interface Edition {
  readonly name: string;
  readonly statements: readonly CoveredStatement[];
  /** Numbers that tests name and no statement has. */
  readonly unknown: readonly string[];
}

/** Every statement of both editions with its tests, joined from the tables and the cases. */
export function coverage(): readonly Edition[] {
  return editions.map(({ name, key }) => {
    const proofs = new Map<string, string[]>();
    for (const area of areas) {
      for (const one of area.cases) {
        for (const number of one[key] ?? []) {
          const tests = proofs.get(`MQTT-${number}`) ?? [];
          proofs.set(`MQTT-${number}`, [...tests, testName(name, area.name, one.it)]);
        }
      }
    }
    const rows: readonly Statement[] = key === "v3" ? statements311 : statements50;
    const statements = rows.map(([id, says, notApplicable]) => ({
      id,
      says,
      notApplicable,
      tests: proofs.get(id) ?? [],
    }));
    const known = new Set(rows.map(([id]) => id));
    return { name, statements, unknown: [...proofs.keys()].filter((id) => !known.has(id)) };
  });
}

/** The text of docs/conformance.md. */
export function conformanceText(all: readonly Edition[] = coverage()): string {
  return `# Conformance

Every normative statement of MQTT 3.1.1 (OASIS Standard, 29 October 2014) and MQTT 5.0 (OASIS Standard, 7 March 2019), in
our words, with the tests in \`test/conformance\` that prove it against the running broker, or the reason why it does not
apply to a server, or not to this one. \`npm run docs\` writes this page; a test compares it.

${all.map(editionText).join("\n")}`;
}

function editionText({ name, statements }: Edition): string {
  const inapplicable = statements.filter(({ notApplicable }) => notApplicable !== undefined).length;
  const rows = statements.map(({ id, says, notApplicable, tests }) => {
    const proof = tests.map((test) => test.slice(name.length + 1)).join("<br>");
    return `| ${id} | ${cell(says)} | ${cell(notApplicable === undefined ? proof : `*${notApplicable}*`)} |`;
  });
  return `## MQTT ${name}

${statements.length} statements: ${statements.length - inapplicable} proved by tests, ${inapplicable} that do not apply.

| Statement | Says | Test |
|---|---|---|
${rows.join("\n")}
`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
