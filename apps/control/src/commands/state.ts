import type { stateCommands } from "@wardmq/commands";
import { Failure } from "../failure.ts";
import type { HandlersOf } from "./handler.ts";

/** Done by processes of their own: see once.ts. */
const notHere = () => {
  throw new Failure("ERR_REQUEST", "this is done by a process of its own", {
    hint: "use wardmq backup, wardmq restore and wardmq keys change",
  });
};

export const stateHandlers: HandlersOf<typeof stateCommands> = {
  "state.rekey": async ({ rekey, rekeyBrokers, registry, record }, _, caller) => {
    const { current, destroyed } = await rekey(caller);
    registry.recordChange("state.rekey", caller);
    for (const keyId of destroyed) {
      const details = { actor: caller.actor, store: "control", keyId };
      record({ type: "state-key-destroyed", details });
    }
    const answers = await rekeyBrokers();
    const brokers = answers.filter((answer) => answer !== undefined);
    return {
      current,
      destroyed,
      brokers: brokers.map((broker) => ({ current: broker.current, destroyed: broker.destroyed })),
      unconfirmed: answers.length - brokers.length,
    };
  },
  backup: notHere,
  "backup.record": ({ registry, record }, made, caller) => {
    registry.recordChange("backup", caller);
    record({ type: "backup-made", details: { actor: caller.actor, ...made } });
    return {};
  },
  restore: notHere,
  "keys.change": notHere,
};
