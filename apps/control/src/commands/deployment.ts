import type { deploymentCommands } from "@wardmq/commands";
import { Failure } from "../failure.ts";
import type { HandlersOf } from "./handler.ts";

export const deploymentHandlers: HandlersOf<typeof deploymentCommands> = {
  /** Comes before there is anything to act on: see init.ts. */
  init: () => {
    throw new Failure("ERR_FOLDER_NOT_EMPTY", "this deployment is made already");
  },
  reload: async ({ reload }, _, caller) => ({ changed: await reload(caller) }),
};
