import type { eventCommands } from "@wardmq/commands";
import type { HandlersOf } from "./handler.ts";

export const eventHandlers: HandlersOf<typeof eventCommands> = {
  events: ({ lastEvents }, { last }) => ({ events: lastEvents(last) }),
};
