import type { policyCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

export const policyHandlers: HandlersOf<typeof policyCommands> = {
  "policy.current": ({ policies }) => policies.current(),
  "policy.versions": ({ policies }) => ({ versions: policies.versions() }),
  "policy.apply": ({ policies }, wanted, caller) => policies.apply(wanted, caller),
  "policy.rollback": ({ policies }, { version, reason }, caller) =>
    policies.rollback(version, reason, caller),
  "policy.shadow": ({ trial }) => trial.status(),
  "policy.shadow.start": ({ trial }, { files, seconds, reason }, caller) =>
    trial.start(files, seconds, reason, caller),
  "policy.shadow.end": ({ trial }, _, caller) => trial.end(caller),
  "policy.usage": ({ usage }) => ({ rules: [...usage.list()] }),
};
