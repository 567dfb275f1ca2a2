import {
  type Act,
  acts,
  applicable,
  lanesWithChange,
  lanesWithoutChange,
  moments,
} from "./matrix.ts";
import type { Path, Refusal } from "./path.ts";
import { rights } from "./rights.ts";

const titles = { publish: "A subject that publishes", subscribe: "A subject that reads" } as const;

/** The text of docs/authorization-matrix.md. */
export function matrixText(): string {
  return `# Authorization matrix

One question, one answer: whatever way a message takes, the policy is asked about the final topic at the moment the message
moves, and answers as it would on every other way. \`test/authorization/parity.test.ts\` plays each cell below against the
running broker, for a device and for a service, in each edition of MQTT that has the path: ${countCells()} tests.
\`npm run docs\` writes this page; a test compares it.

What is granted is one exact topic. The columns beside it ask for a topic that differs in one level, or for a filter that is
wider. In the last two columns the subject has its right at first: between the two halves of the path, such as storing a
message and delivering it, a new policy takes the right away or the subject is revoked. Each of these has a neighbour that
keeps its right through the change and is served.

Two hospitals are on the broker of the matrix, and the rules name no tenant (\`+\` stands where it would): "another tenant" is
denied by nothing but that tenants never cross. The subjects of the second one play the columns that are about tenants as well,
so each path is closed in both directions. \`test/authorization/environments.test.ts\` has the same for prod and test.

${acts.map(actText).join("\n")}`;
}

function actText(act: Act): string {
  const columns = applicable(act, rights);
  const head = ["Path", ...columns.map(({ name }) => name), "new policy", "revoked"];
  const rows = act.paths.map(({ name }) => [
    name,
    ...columns.map(({ effect }) => (effect === "Permit" ? "**Permit**" : "Deny")),
    "Deny",
    "Deny",
  ]);
  return `## ${titles[act.name]}

${table(head, rows)}

How a Deny looks: the answer on MQTT 5.0, on 3.1.1, and the events, one for each denial.

${table(["Path", "not granted", "after a new policy", "after revocation"], act.paths.map(refusals))}
`;
}

function refusals({ name, versions, denied, lost }: Path): string[] {
  const isOnly50 = versions !== undefined;
  return [name, ...[denied, lost.policy, lost.revocation].map((one) => refusal(one, isOnly50))];
}

function refusal({ v5, v3, events }: Refusal, isOnly50: boolean): string {
  const answer = isOnly50 || v5 === v3 ? v5 : `${v5}, ${v3}`;
  return `${answer}<br>${events.map((type) => `\`${type}\``).join("<br>")}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function countCells(): number {
  const lanes = [...lanesWithoutChange(), ...moments.flatMap(lanesWithChange)];
  return lanes.reduce((sum, { cells }) => sum + cells.length, 0);
}
