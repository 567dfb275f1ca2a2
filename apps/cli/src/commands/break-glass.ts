import type { BreakGlassUse } from "@wardmq/commands";
import type { Command } from "commander";
import { group } from "../command-line.ts";
import { controlCommand } from "../control-command.ts";
import type { Operand } from "../deployment-command.ts";
import { table } from "../table.ts";

const useOperand: Operand = ["ID", "as wardmq break-glass list shows it"];

export function addBreakGlassCommands(program: Command): void {
  const breakGlass = group(
    program,
    "break-glass",
    "roles for an emergency: taken at once, alarmed, reviewed afterwards",
    "wardmq break-glass list /srv/wardmq",
  );
  controlCommand<"break-glass.take", { minutes?: number; because: string }>(
    breakGlass,
    "take",
    "break-glass.take",
    {
      operands: [["NAME", "what issuers.yaml lets you take"]],
      examples: [
        "wardmq break-glass take on-call --minutes 30 --because 'the pump gateway is down' --url https://localhost:9443",
      ],
      options: (command) =>
        command
          .requiredOption("--because <text>", "why; nothing about a patient")
          .option("--minutes <n>", "for how long (default: as long as it may be)", Number),
      arguments: ([name = ""], { minutes, because }) => ({
        name,
        because,
        ...(minutes === undefined ? {} : { minutes }),
      }),
      text: (use) => `${roleOf(use)} is ${use.person} until ${time(use.until)} (${use.id})`,
    },
  );
  controlCommand(breakGlass, "list", "break-glass.list", {
    examples: ["wardmq break-glass list /srv/wardmq"],
    arguments: () => ({}),
    json: ({ uses }) => uses,
    text: ({ uses }) => (uses.length === 0 ? "nothing was taken" : useTable(uses)),
  });
  controlCommand(breakGlass, "end", "break-glass.end", {
    operands: [useOperand],
    examples: ["wardmq break-glass end /srv/wardmq 0123456789abcdef"],
    arguments: ([id = ""]) => ({ id }),
    text: (use) => `ended ${use.name} of ${use.person}`,
  });
  controlCommand<"break-glass.review", { finding: string }>(
    breakGlass,
    "review",
    "break-glass.review",
    {
      operands: [useOperand],
      examples: [
        "wardmq break-glass review /srv/wardmq 0123456789abcdef --finding 'as told; nothing else was done'",
      ],
      options: (command) => command.requiredOption("--finding <text>", "what was found"),
      arguments: ([id = ""], { finding }) => ({ id, finding }),
      text: (use) => `reviewed ${use.name} of ${use.person}`,
    },
  );
}

function useTable(uses: readonly BreakGlassUse[]): string {
  const rows = uses.map((use) => {
    const { id, state, name, actor, takenAt, until, endedAt, reason, finding } = use;
    const end = time(endedAt ?? until);
    return [id, state, name, roleOf(use), actor, time(takenAt), end, reason, finding ?? "-"];
  });
  const head = ["ID", "STATE", "NAME", "ROLE", "BY", "FROM", "UNTIL", "BECAUSE", "FINDING"];
  return table(head, rows);
}

const roleOf = ({ apiRole, policyRole }: BreakGlassUse) => apiRole ?? policyRole ?? "";

const time = (milliseconds: number) => new Date(milliseconds).toISOString();
