import {
  type Approval,
  type approvalCommands,
  type CommandName,
  type CommandRequest,
  commands,
} from "@wardmq/commands";
import { Failure } from "../failure.ts";
import { takingNeedsApproval } from "./break-glass.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";
import { areTwoPeople, hasOtherSecurityOfficer, isInService } from "./operators.ts";
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
type Refuse = (on: Surroundings, command: CommandName, caller: Caller) => void;

/** `perform` does a command that was approved; `refuse` throws where somebody may not give a command. */
export function approvalHandlers(
  perform: Perform,
  refuse: Refuse,
): HandlersOf<typeof approvalCommands> {
  return {
    "approvals.list": ({ pending }, _, { at }) => ({ approvals: pending.approvals.list(at) }),

    "approvals.approve": async (on, { id }, caller) => {
      const waiting = waitingOne(on, id, caller);
      // Whoever approves a command has to be one who may give it.
      refuse(on, waiting.command as CommandName, caller);
      const approval = decide(on, waiting, "approved", caller);
      const request = requestOf(approval.command as CommandName, approval.arguments);
      const actor = `${approval.requestedBy} with ${caller.actor}`;
      const { requestedBy } = approval;
      return { approval, result: await perform(on, request, { ...caller, actor, requestedBy }) };
    },

    "approvals.refuse": (on, { id }, caller) =>
      decide(on, waitingOne(on, id, caller), "refused", caller),
  };
}

/**
 * Whether the command has to wait. The owner of the folder needs no second person for as long as there is no security
 * officer who could be one: somebody has to add the first.
 */
export function needsApproval(on: Surroundings, request: CommandRequest, caller: Caller): boolean {
  if (request.command === "break-glass.take")
    return takingNeedsApproval(on, request.arguments, caller);
  const row = commands[request.command];
  if (!("approval" in row)) return false;
  return caller.role !== "local" || hasOtherSecurityOfficer(on.registry, caller.actor);
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

function waitingOne({ pending }: Surroundings, id: string, { at }: Caller): Approval {
  const found = pending.approvals.get(id, at);
  if (found === undefined) {
    throw new Failure("ERR_APPROVAL_UNKNOWN", "there is no such approval", {
      hint: "wardmq approvals list DIR shows those there are",
    });
  }
  if (found.state !== "waiting") throw alreadyDecided(found);
  return found;
}

function decide(
  { pending, record, registry, tokens }: Surroundings,
  found: Approval,
  decision: "approved" | "refused",
  caller: Caller,
): Approval {
  const { id, requestedBy } = found;
  if (decision === "approved" && !areTwoPeople(registry, requestedBy, caller.actor)) {
    const isSame = requestedBy === caller.actor;
    const why = isSame
      ? `${caller.actor} gave the command`
      : `${requestedBy}, who gave the command, may be ${caller.actor}`;
    throw new Failure("ERR_APPROVAL_SAME_PERSON", why, {
      hint: isSame
        ? "another security officer has to approve it"
        : "say which operator a person is: wardmq operator link DIR OPERATOR PERSON",
    });
  }
  for (const [actor, since, did] of [
    [requestedBy, found.requestedAt, "gave the command"],
    [caller.actor, caller.at, "decides about it"], // however the request came through until here
  ] as const) {
    if (!isGone(registry, tokens, actor, since)) continue;
    throw new Failure("ERR_APPROVAL_DECIDED", `${actor}, who ${did}, is revoked`, {
      hint: "give the command again",
    });
  }
  const decided = pending.approvals.decide(id, decision, caller);
  if (decided === undefined) throw alreadyDecided(found);
  const details = { actor: caller.actor, command: found.command, approval: id, decision };
  record({ type: "approval-decided", subject: found.command, details });
  return decided;
}

/** What somebody wants who has been revoked since is wanted by nobody. */
function isGone(
  registry: Surroundings["registry"],
  { revocations }: Surroundings["tokens"],
  actor: string,
  since: number,
): boolean {
  if (actor.startsWith("operator:")) {
    const operator = registry.subject(actor);
    return operator === undefined || !isInService(operator);
  }
  return revocations
    .list()
    .some(({ subject, sid, issuedUntil }) => subject === actor && !sid && issuedUntil >= since);
}

const again = "give the command again";
/** What came of a command that cannot be decided about, and what to do. */
const decided: Readonly<Record<Approval["state"], readonly [why: string, hint: string]>> = {
  waiting: ["decided by somebody else", "wardmq approvals list DIR shows how"], // at this moment
  approved: ["approved", "it was done then, or whoever approved it was told why not"],
  refused: ["refused", again],
  expired: ["expired", again],
};

function alreadyDecided({ state }: Approval): Failure {
  const [why, hint] = decided[state];
  return new Failure("ERR_APPROVAL_DECIDED", `the command is ${why}`, { hint });
}
