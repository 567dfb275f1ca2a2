import { type CommandName, type CommandRequest, commands, mayCall } from "@wardmq/commands";
import { Failure } from "../failure.ts";
import { approvalHandlers, needsApproval, requestApproval } from "./approvals.ts";
import { caHandlers } from "./ca.ts";
import { certificateHandlers } from "./certificates.ts";
import { deploymentHandlers } from "./deployment.ts";
import { enrolmentHandlers } from "./enrolment.ts";
import { eventHandlers } from "./events.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";
import { operatorHandlers } from "./operators.ts";
import { policyHandlers } from "./policy.ts";
import { registryHandlers } from "./registry.ts";
import { rotationHandlers } from "./rotations.ts";
import { stateHandlers } from "./state.ts";
import { subjectHandlers } from "./subjects.ts";
import { tokenHandlers } from "./tokens.ts";

const handlers: HandlersOf<typeof commands> = {
  ...deploymentHandlers,
  ...subjectHandlers,
  ...registryHandlers,
  ...certificateHandlers,
  ...caHandlers,
  ...rotationHandlers,
  ...enrolmentHandlers,
  ...operatorHandlers,
  ...approvalHandlers(perform),
  ...eventHandlers,
  ...stateHandlers,
  ...tokenHandlers,
  ...policyHandlers,
};

/**
 * Does what a request asks for, whichever way it came: the one place that asks whether the caller may, and whether a
 * second person has to. Where one has to, it throws an ApprovalNeeded.
 */
export async function execute(
  on: Surroundings,
  request: CommandRequest,
  caller: Caller,
): Promise<unknown> {
  refuseUnlessAllowed(request.command, caller);
  if (needsApproval(on, request.command, caller)) throw requestApproval(on, request, caller);
  return perform(on, request, caller);
}

async function perform(
  on: Surroundings,
  request: CommandRequest,
  caller: Caller,
): Promise<unknown> {
  // INVARIANT: the arguments of a request are those of its command.
  const handler = handlers[request.command] as (...given: unknown[]) => unknown;
  return handler(on, request.arguments, caller);
}

function refuseUnlessAllowed(name: CommandName, { role }: Caller): void {
  const command = commands[name];
  if (mayCall(role, command)) return;
  const needed =
    command.role === "local" ? "the owner of the deployment's folder" : `the role ${command.role}`;
  throw new Failure("ERR_FORBIDDEN", `${name} needs ${needed}, and the caller has ${role}`, {
    hint: "ask somebody who has it",
  });
}
