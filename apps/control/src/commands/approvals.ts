import {
  type Approval,
  type approvalCommands,
  type CommandName,
  type CommandRequest,
  commands,
} from "@wardmq/commands";
import { Failure } from "../failure.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";
import { hasOtherSecurityOfficer } from "./operators.ts";
import { requestOf } from "./requests.ts";

/** Not a refusal: the command was written down, and waits for a second person. */
export class ApprovalNeeded extends Failure {
  readonly approval: Approval;

  constructor(approval: Approval) {
    const until = new Date(approval.expiresAt).toISOString();
    super("ERR_APPROVAL_NEEDED", `${approval.command} waits for a second person until ${until}`, {
      hint: `another security officer says: wardmq approvals approve DIR ${approval.id}`,
    });
    this.approval = approval;
  }
}

type Perform = (on: Surroundings, request: CommandRequest, caller: Caller) => Promise<unknown>;

/** `perform` does a command that was approved. */
export function approvalHandlers(perform: Perform): HandlersOf<typeof approvalCommands> {
  return {
    "approvals.list": ({ pending }, _, { at }) => ({ approvals: pending.approvals.list(at) }),

    "approvals.approve": async (on, { id }, caller) => {
      const approval = decide(on, id, "approved", caller);
      const request = requestOf(approval.command as CommandName, approval.arguments);
      const actor = `${approval.requestedBy} with ${caller.actor}`;
      return { approval, result: await perform(on, request, { ...caller, actor }) };
    },

    "approvals.refuse": (on, { id }, caller) => decide(on, id, "refused", caller),
  };
}

/**
 * Whether the command has to wait. The owner of the folder needs no second person for as long as there is no security
 * officer who could be one: somebody has to add the first.
 */
export function needsApproval(
  { registry }: Surroundings,
  command: CommandName,
  { role, actor }: Caller,
): boolean {
  const row = commands[command];
  if (!("approval" in row)) return false;
  return role !== "local" || hasOtherSecurityOfficer(registry, actor);
}

/** Writes a command down for a second person. */
export function requestApproval(
  { pending, record }: Surroundings,
  request: CommandRequest,
  caller: Caller,
): ApprovalNeeded {
  const approval = pending.approvals.request(request, caller);
  const details = { actor: caller.actor, command: request.command, approval: approval.id };
  record({ type: "approval-requested", subject: request.command, details });
  return new ApprovalNeeded(approval);
}

function decide(
  { pending, record, registry }: Surroundings,
  id: string,
  decision: "approved" | "refused",
  caller: Caller,
): Approval {
  const found = pending.approvals.get(id, caller.at);
  if (found === undefined) {
    throw new Failure("ERR_APPROVAL_UNKNOWN", "there is no such approval", {
      hint: "wardmq approvals list DIR shows those there are",
    });
  }
  if (found.state !== "waiting") throw alreadyDecided(found);
  if (decision === "approved" && found.requestedBy === caller.actor) {
    throw new Failure("ERR_APPROVAL_SAME_PERSON", `${caller.actor} gave the command`, {
      hint: "another security officer has to approve it",
    });
  }
  refuseGoneRequester(registry, found);
  const decided = pending.approvals.decide(id, decision, caller);
  if (decided === undefined) throw alreadyDecided(found);
  const details = { actor: caller.actor, command: found.command, approval: id, decision };
  record({ type: "approval-decided", subject: found.command, details });
  return decided;
}

/** What somebody wanted who has been revoked since is wanted by nobody. */
function refuseGoneRequester(registry: Surroundings["registry"], { requestedBy }: Approval): void {
  if (!requestedBy.startsWith("operator:")) return;
  if (registry.subject(requestedBy)?.state === "active") return;
  throw new Failure("ERR_APPROVAL_DECIDED", `${requestedBy}, who gave the command, is revoked`, {
    hint: "give the command again",
  });
}

function alreadyDecided({ state }: Approval): Failure {
  const why = state === "waiting" ? "decided by somebody else" : state;
  return new Failure("ERR_APPROVAL_DECIDED", `the command is ${why}`, {
    hint: "give the command again",
  });
}
