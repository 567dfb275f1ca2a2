import type { policyCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

export const policyHandlers: HandlersOf<typeof policyCommands> = {
  "policy.current": ({ policies }) => policies.current(),
  "policy.versions": ({ policies }) => ({ versions: policies.versions() }),
  "policy.version": ({ policies }, { version }) => policies.version(version),
  "policy.apply": ({ policies }, wanted, caller) => policies.apply(wanted, caller),
  "policy.rollback": ({ policies }, wanted, caller) => policies.rollback(wanted, caller),
  "policy.shadow": ({ trial }) => trial.status(),
  "policy.shadow.start": ({ trial }, { files, seconds, reason }, caller) =>
    trial.start(files, seconds, reason, caller),
  "policy.shadow.end": ({ trial }, _, caller) => trial.end(caller),
  "policy.usage": ({ usage }) => ({ rules: [...usage.list()] }),
};
