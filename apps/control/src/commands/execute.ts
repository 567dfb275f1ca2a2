import { type CommandName, type CommandRequest, commands, mayCall } from "@wardmq/commands";
import { lackOfLogin } from "@wardmq/tokens";
import { Failure } from "../failure.ts";
import { approvalHandlers, needsApproval, requestApproval } from "./approvals.ts";
import { breakGlassHandlers } from "./break-glass.ts";
import { caHandlers } from "./ca.ts";
import { certificateHandlers } from "./certificates.ts";
import { deploymentHandlers } from "./deployment.ts";
import { enrolmentHandlers } from "./enrolment.ts";
import { eventHandlers } from "./events.ts";
import { foreignCaHandlers } from "./foreign-cas.ts";
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
  ...foreignCaHandlers,
  ...operatorHandlers,
  ...approvalHandlers(perform, refuseUnlessAllowed),
  ...breakGlassHandlers,
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
  refuseUnlessAllowed(on, request.command, caller);
  if (needsApproval(on, request, caller)) throw requestApproval(on, request, caller);
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

function refuseUnlessAllowed(on: Surroundings, name: CommandName, caller: Caller): void {
  const command = commands[name];
  const { role } = caller;
  if (mayCall(role, command)) {
    refuseWeakLogin(on, name, caller);
    return;
  }
  const needed =
    command.role === "local" ? "the owner of the deployment's folder" : `the role ${command.role}`;
  throw new Failure("ERR_FORBIDDEN", `${name} needs ${needed}, and the caller has ${role}`, {
    hint: "ask somebody who has it",
  });
}

/** What `stepUp` of issuers.yaml asks of whoever comes with a token, command by command. */
function refuseWeakLogin({ tokens }: Surroundings, name: CommandName, { token }: Caller): void {
  if (token === undefined) return;
  const { stepUp = [] } = tokens.settingsOf(token.grant.issuer)?.api ?? {};
  const lack = stepUp
    .filter(({ commands }) => commands.includes(name))
    .map((demand) => lackOfLogin(demand, token.claims))
    .find((one) => one !== undefined);
  if (lack === undefined) return;
  throw new Failure("ERR_STEP_UP", `${name} needs a login with ${lack}`, {
    hint: "log in again that way",
  });
}
