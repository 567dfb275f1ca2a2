/** What the broker needs: compiling and deciding, without the YAML parser and its ten megabytes. */
export { compilePolicy } from "./decide/compile-policy.ts";
export type {
  CompiledPolicy,
  Decision,
  Subject,
  SubjectLimits,
  SubjectRights,
} from "./decide/decision.ts";
export { deny, permit } from "./decide/denial.ts";
export type { Exchange } from "./decide/exchange.ts";
export {
  denyByTerms,
  isWithin,
  type MessageTraits,
  retainSecondsOf,
  type Terms,
} from "./decide/terms.ts";
export type { TokenRole } from "./decide/token-roles.ts";
export type { Policy } from "./language/policy.ts";
export { type PhiFinding, type PhiGuard, phiGuard } from "./phi/phi-guard.ts";
