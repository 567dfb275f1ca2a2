import type { rotationCommands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import { destroyFile, readPrivateText, writeNewFile } from "@wardmq/keys";
import { isKeyOf, keyPathOf } from "../ca/ca-keys.ts";
import { type Rotating, rotationStatus, stepRotation, undoRotation } from "../ca/rotations.ts";
import { decodeCertificates } from "../ca/server-certificate.ts";
import { paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";

export const rotationHandlers: HandlersOf<typeof rotationCommands> = {
  "rotation.status": (on, { what }, caller) => rotationStatus(what, rotating(on, caller)),

  "rotation.step": async (on, { what }, caller) => {
    await stepRotation(what, rotating(on, caller), caller);
    return settled(on, what, "step", caller);
  },

  "rotation.undo": async (on, { what }, caller) => {
    undoRotation(what);
    return settled(on, what, "undo", caller);
  },

  "fleet.rotate": async ({ fleet, record }, { because, deadline }, caller) => {
    await fleet.start(because, deadline, caller);
    const why = printable(because, 500);
    record({ type: "fleet-rotation", why, details: { actor: caller.actor } });
    return fleet.status();
  },

  "fleet.status": ({ fleet }) => fleet.status(),

  "root-key.remove": (on, { to }, caller) => {
    const path = keyPathOf(rootOf());
    if (path === undefined) throw notHere("is not here to be taken away");
    const text = readPrivateText(path);
    try {
      writeNewFile(to, text, 0o600);
    } catch (cause) {
      throw notHere(`can not be written to ${printable(to)}: ${systemCode(cause) ?? "failed"}`);
    }
    if (readPrivateText(to) !== text) throw notHere("was not written whole");
    destroyFile(path);
    return moved(on, caller, { to });
  },

  "root-key.restore": (on, { from }, caller) => {
    const root = rootOf();
    if (keyPathOf(root) !== undefined) throw notHere("is here already");
    if (!isKeyOf(root, from)) throw notHere(`is not what ${printable(from)} holds`);
    writeNewFile(paths.rootKey, readPrivateText(from), 0o600);
    return moved(on, caller, { from });
  },
};

function rotating({ registry }: Surroundings, { at }: Caller): Rotating {
  return { registry, identity: registry.identity, now: at };
}

/** The files have changed: brokers, the server certificate and the CRLs follow. */
async function settled(
  on: Surroundings,
  what: Parameters<typeof rotationStatus>[0],
  move: "step" | "undo",
  caller: Caller,
) {
  await on.reload(caller);
  const status = rotationStatus(what, rotating(on, caller));
  on.registry.recordChange(`rotation.${move}`, caller);
  const details = { actor: caller.actor, what, move, step: status.step };
  on.record({ type: "rotation-step", details });
  return status;
}

const rootOf = () => decodeCertificates(paths.rootCertificate)[0];

function notHere(why: string): Failure {
  return new Failure("ERR_ROOT_KEY", `the key of the root CA ${why}`);
}

function moved<Where extends object>(on: Surroundings, caller: Caller, where: Where): Where {
  on.registry.recordChange("root-key.move", caller);
  on.record({ type: "root-key-moved", details: { actor: caller.actor, ...where } });
  return where;
}
