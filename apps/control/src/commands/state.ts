import type { stateCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

export const stateHandlers: HandlersOf<typeof stateCommands> = {
  "state.rekey": async ({ rekey, rekeyBrokers, registry, record }, _, caller) => {
    const { current, destroyed } = await rekey(caller);
    registry.recordChange("state.rekey", caller);
    for (const keyId of destroyed) {
      record({
        type: "state-key-destroyed",
        details: { actor: caller.actor, store: "control", keyId },
      });
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
};
