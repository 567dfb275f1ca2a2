/** What the broker needs: compiling and deciding, without the YAML parser and its ten megabytes. */
export { compilePolicy } from "./compile-policy.ts";
export type { CompiledPolicy, Decision, SubjectRights } from "./decision.ts";
export type { Policy } from "./policy.ts";
