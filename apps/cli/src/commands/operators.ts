import type { Commands } from "@wardmq/commands";
import { type Approval, roles } from "@wardmq/commands";
import { type Command, Option } from "commander";
import { day, group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import type { Operand } from "../deployment-command.ts";
import { table } from "../table.ts";

const operatorOperand: Operand = ["OPERATOR", "operator:NAME"];
const approvalOperand: Operand = ["ID", "as wardmq approvals list shows it"];

export function addOperatorCommands(program: Command): void {
  const operator = group(
    program,
    "operator",
    "who may use the API",
    "wardmq operator add /srv/wardmq alice --role security-officer",
  );
  controlCommand<"operator.add", Pick<Commands["operator.add"]["arguments"], "role">>(
    operator,
    "add",
    "operator.add",
    {
      operands: [["NAME", "1 to 64 characters A-Z, a-z, 0-9, _ and -"]],
      examples: [
        "wardmq operator add /srv/wardmq alice --role security-officer",
        "wardmq credential /srv/wardmq operator:alice --out ./alice",
      ],
      options: (command) =>
        command.addOption(
          new Option("--role <role>", "what the operator may do")
            .choices(roles)
            .makeOptionMandatory(),
        ),
      arguments: ([name = ""], { role }) => ({ name, role }),
      text: ({ id, role }) =>
        `added ${id} with the role ${role}\nnext: wardmq credential DIR ${id} --out FOLDER`,
    },
  );
  controlCommand(operator, "link", "operator.link", {
    operands: [operatorOperand, ["PERSON", "person:ID as wardmq events shows it, or none"]],
    examples: ["wardmq operator link /srv/wardmq operator:alice person:hospital_4f1c"],
    arguments: ([id = "", person = ""]) => ({
      operator: id,
      person: person === "none" ? null : person,
    }),
    text: ({ id, person }) =>
      person === undefined ? `${id} is no person of a token` : `${id} is ${person}`,
  });
  controlCommand(operator, "list", "operator.list", {
    examples: ["wardmq operator list /srv/wardmq"],
    arguments: () => ({}),
    json: ({ operators }) => operators,
    text: ({ operators }) => {
      if (operators.length === 0) return "no operators yet";
      const rows = operators.map(({ id, role, state, person, certificates }) => {
        const active = certificates.filter((one) => one.state === "active");
        const until = active.map(({ notAfter }) => day(notAfter)).join(" ") || "-";
        return [id, role, state, until, person ?? "-"];
      });
      return table(["OPERATOR", "ROLE", "STATE", "CERTIFIED UNTIL", "PERSON"], rows);
    },
  });
  controlCommand(operator, "revoke", "operator.revoke", {
    operands: [operatorOperand],
    examples: ["wardmq operator revoke /srv/wardmq operator:alice"],
    arguments: ([id = ""]) => ({ operator: id }),
    text: ({ id }) => `revoked ${id}`,
  });

  const approvals = group(
    program,
    "approvals",
    "commands that wait for a second person",
    "wardmq approvals list /srv/wardmq",
  );
  controlCommand(approvals, "list", "approvals.list", {
    examples: ["wardmq approvals list --url https://localhost:9443 --credential ./bob"],
    arguments: () => ({}),
    json: ({ approvals }) => approvals,
    text: ({ approvals }) =>
      approvals.length === 0 ? "nothing waits for approval" : approvalTable(approvals),
  });
  controlCommand(approvals, "approve", "approvals.approve", {
    operands: [approvalOperand],
    examples: [
      "wardmq approvals approve 0123456789abcdef --url https://localhost:9443 --credential ./bob",
    ],
    arguments: ([id = ""]) => ({ id }),
    text: ({ approval }) => `approved and done: ${sentence(approval)}`,
  });
  controlCommand(approvals, "refuse", "approvals.refuse", {
    operands: [approvalOperand],
    examples: ["wardmq approvals refuse /srv/wardmq 0123456789abcdef"],
    arguments: ([id = ""]) => ({ id }),
    text: (approval) => `refused: ${sentence(approval)}`,
  });
}

function sentence({ command, arguments: given, requestedBy }: Approval): string {
  return `${command} ${JSON.stringify(given)} of ${requestedBy}`;
}

function approvalTable(approvals: readonly Approval[]): string {
  const rows = approvals.map((approval) => {
    const { id, state, requestedAt, requestedBy, command, arguments: given } = approval;
    const what = JSON.stringify(given);
    const shown = what.length > 80 ? `${what.slice(0, 79)}…` : what;
    return [id, state, new Date(requestedAt).toISOString(), requestedBy, `${command} ${shown}`];
  });
  return table(["ID", "STATE", "SINCE", "BY", "COMMAND"], rows);
}
