import type { foreignCaCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";
import { effectOf } from "./subject-acts.ts";

export const foreignCaHandlers: HandlersOf<typeof foreignCaCommands> = {
  "foreign-ca.add": async ({ foreignCas, record }, wanted, { actor }) => {
    const added = await foreignCas.add(wanted);
    const details = { actor, change: "added", fingerprint: added.fingerprint };
    record({ type: "foreign-ca-changed", subject: wanted.name, details });
    return added;
  },

  "foreign-ca.list": ({ foreignCas }) => ({ foreignCas: foreignCas.list() }),

  "foreign-ca.show": ({ foreignCas }, { name }) => foreignCas.show(name),

  "foreign-ca.refresh": async ({ foreignCas, publisher }, { name }) => {
    await foreignCas.refresh(name);
    const done = await publisher.publish({ foreignCas: foreignCas.told() })();
    return { foreignCa: foreignCas.show(name), ...effectOf(done) };
  },

  "foreign-ca.remove": async ({ foreignCas, publisher, record }, { name }, { actor }) => {
    const { removed, change } = foreignCas.remove(name);
    const published = publisher.publish(change);
    record({ type: "foreign-ca-changed", subject: name, details: { actor, change: "removed" } });
    return { foreignCa: removed, ...effectOf(await published()) };
  },
};
