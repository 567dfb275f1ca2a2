/**
 * What an operator's tool and control say to each other, one row a command. Over the Unix socket `run/control.sock` of a
 * deployment, or over standard input and output of a one-shot control when none runs: one JSON object a line in both
 * directions. Over HTTPS: a route each.
 */
import type { z } from "zod";
import { type approval, approvalCommands } from "./approvals.ts";
import { breakGlassCommands, type breakGlassUse } from "./break-glass.ts";
import { caCommands } from "./ca.ts";
import { certificateCommands } from "./certificates.ts";
import { roles } from "./command.ts";
import { deploymentCommands } from "./deployment.ts";
import { enrolmentCommands, type manufacturer } from "./enrolment.ts";
import { eventCommands } from "./events.ts";
import { foreignCaCommands, type foreignCaSummary } from "./foreign-cas.ts";
import { apiRoutes } from "./openapi.ts";
import { operatorCommands, type operatorSummary } from "./operators.ts";
import { policyCommands } from "./policy.ts";
import { registryCommands } from "./registry.ts";
import { rotationCommands } from "./rotations.ts";
import { stateCommands } from "./state.ts";
import { type certificateSummary, subjectCommands, type subjectSummary } from "./subjects.ts";
import { tokenCommands } from "./tokens.ts";

export { expiryClasses } from "./ca.ts";
export * from "./command.ts";
export * from "./document.ts";
export type { FormCode } from "./forms.ts";
export * from "./openapi.ts";
export * from "./parse-json.ts";
export { importedDevice } from "./registry.ts";
export { rotatingThings, rotationSteps } from "./rotations.ts";
export {
  approvalCommands,
  breakGlassCommands,
  caCommands,
  certificateCommands,
  deploymentCommands,
  enrolmentCommands,
  eventCommands,
  foreignCaCommands,
  operatorCommands,
  policyCommands,
  registryCommands,
  rotationCommands,
  stateCommands,
  subjectCommands,
  tokenCommands,
};

/** Every command: summary, arguments, result, who may call it, and where. */
export const commands = {
  ...deploymentCommands,
  ...subjectCommands,
  ...registryCommands,
  ...certificateCommands,
  ...caCommands,
  ...rotationCommands,
  ...enrolmentCommands,
  ...foreignCaCommands,
  ...operatorCommands,
  ...approvalCommands,
  ...breakGlassCommands,
  ...eventCommands,
  ...stateCommands,
  ...tokenCommands,
  ...policyCommands,
} as const;

/** What other files may name of the API: its roles, and the commands it has. */
export const apiVocabulary = {
  roles,
  commands: apiRoutes(commands).map(({ name }) => name),
};

type Table = typeof commands;
export type CommandName = keyof Table;

/** What comes back is not for changing. */
export type Frozen<Value> = Value extends object
  ? { readonly [Key in keyof Value]: Frozen<Value[Key]> }
  : Value;

/** Every command's arguments and result as types. */
export type Commands = {
  [Name in CommandName]: {
    arguments: Frozen<z.infer<Table[Name]["arguments"]>>;
    result: Frozen<z.infer<Table[Name]["result"]>>;
  };
};

export type CertificateSummary = Frozen<z.infer<typeof certificateSummary>>;
export type OperatorSummary = Frozen<z.infer<typeof operatorSummary>>;
export type Manufacturer = Frozen<z.infer<typeof manufacturer>>;
export type ForeignCaSummary = Frozen<z.infer<typeof foreignCaSummary>>;
export type Approval = Frozen<z.infer<typeof approval>>;
export type BreakGlassUse = Frozen<z.infer<typeof breakGlassUse>>;
export type SubjectSummary = Frozen<z.infer<typeof subjectSummary>>;

export type CommandRequest = {
  [Name in CommandName]: {
    readonly command: Name;
    readonly arguments: Commands[Name]["arguments"];
  };
}[CommandName];

export type CommandResponse =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false;
      readonly error: {
        /** Stable, `ERR_...`. */
        readonly code: string;
        /** One line: what was wrong and where. */
        readonly message: string;
        /** What to do instead. */
        readonly hint?: string;
        /** 1: refused or failed; 2: wrong input or configuration. */
        readonly exitCode: 1 | 2;
      };
    };
