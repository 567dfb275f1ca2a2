import { printable } from "@wardmq/events";
import type { Problem } from "../language/policy-error.ts";

/** What `wardmq policy check` looks for, one row each; docs/policy.md has the same rows. */
export const policyChecks = {
  "every-topic": {
    severity: "warning",
    summary: "a filter reaches every topic of every organisation, such as `#` or `+/#`",
  },
  "leaves-organisation": {
    severity: "warning",
    summary: "the first level of a filter is neither `{org}` nor a fixed text",
  },
  "whole-organisation": {
    severity: "warning",
    summary: "a filter reaches every topic of an organisation, such as `{org}/#`",
  },
  "speaks-for-others": {
    severity: "warning",
    summary: "a role of devices may publish on topics that do not hold the device's `{id}`",
  },
  "reaches-other-devices": {
    severity: "warning",
    summary: "a role of devices reaches topics of other devices",
  },
  "both-ways-control": {
    severity: "warning",
    summary: "one subject may publish to a command or config topic and receive from it too",
  },
  "system-topics": {
    severity: "warning",
    summary: "devices, or all services, may read `$SYS`",
  },
  "every-service": {
    severity: "warning",
    summary: "a role is bound to all services, also those that are added later",
  },
  "never-applies": {
    severity: "warning",
    summary: "a rule needs an attribute that a subject it is bound to never has",
  },
  "no-schema": {
    severity: "warning",
    summary:
      "topics may look like anything: the topic schema is off, and no standard assertion holds",
  },
  "answers-unwatched": {
    severity: "warning",
    summary: "no topic is one of commands: anybody with the right may answer, when and how often",
  },
  "phi-off": {
    severity: "warning",
    summary: "identifiers of patients are not looked for, or not all of them",
  },
  "unknown-issuer": {
    severity: "warning",
    summary: "a claim is of an issuer that `issuers.yaml` does not name",
  },
  "endless-grant": { severity: "warning", summary: "a grant has no end" },
  "allows-no-topic": {
    severity: "warning",
    summary: "a rule allows nothing, for the topic schema or deny rules leave nothing of it",
  },
  "speaks-for-devices": {
    severity: "warning",
    summary: "a service may publish telemetry or alarms of every device, in no place in particular",
  },
  "unused-role": {
    severity: "warning",
    summary: "no rule of a role has decided anything for so many days (`--unused-for 30d`)",
  },
  "never-bound": {
    severity: "notice",
    summary: "a role is bound to nobody, and nobody may take it in an emergency",
  },
  "allows-nothing": { severity: "notice", summary: "a role has no rules" },
  "already-allowed": {
    severity: "notice",
    summary: "a rule allows only what another rule of its role allows",
  },
  "already-bound": {
    severity: "notice",
    summary: "a binding or a claim gives a role that another one gives already",
  },
  "denies-nothing": {
    severity: "notice",
    summary: "a deny rule meets nothing that any rule allows",
  },
  "unused-rule": {
    severity: "notice",
    summary: "a rule of a role that is used has decided nothing for so many days (`--unused-for`)",
  },
  "unused-group": { severity: "notice", summary: "a group is named by nothing" },
  "envelope-not-enforced": {
    severity: "notice",
    summary: "a rule wants an envelope, which this version does not enforce yet",
  },
  "unusual-text": {
    severity: "notice",
    summary: "a level is empty, or holds characters that are rare in topics",
  },
} as const satisfies Record<string, { severity: "warning" | "notice"; summary: string }>;

export type PolicyCheck = keyof typeof policyChecks;

/** Something a policy may say and that is worth a second look; a Problem that stops nothing. */
export interface PolicyFinding extends Problem {
  readonly check: PolicyCheck;
  readonly severity: "warning" | "notice";
  readonly role: string;
  /** Present where the finding is about one rule. */
  readonly ruleId: string | undefined;
}

/** A finding in one line: `policy.yaml:3:5: warning: roles.nurse.subscribe[0]: reaches ...; begin it with {org}`. */
export function describeFinding(finding: PolicyFinding, file: string): string {
  const { line, column, severity, path, message, hint } = finding;
  return `${printable(file)}:${line}:${column}: ${severity}: ${path}: ${message}; ${hint}`;
}
