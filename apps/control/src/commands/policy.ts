import type { policyCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

export const policyHandlers: HandlersOf<typeof policyCommands> = {
  "policy.current": ({ policies }) => policies.current(),
  "policy.versions": ({ policies }) => ({ versions: policies.versions() }),
  "policy.apply": ({ policies }, { digest, reason }, caller) =>
    policies.apply(digest, reason, caller),
  "policy.rollback": ({ policies }, { version, reason }, caller) =>
    policies.rollback(version, reason, caller),
};
