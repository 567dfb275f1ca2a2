import type { rotationCommands } from "@wardmq/commands";
import { printable } from "@wardmq/events";
import type { ServerCertificate } from "@wardmq/feed";
import { destroyFile, readPrivateText, writeNewFile } from "@wardmq/keys";
import { renewalAt } from "@wardmq/x509";
import { isKeyOf, keyPathOf } from "../ca/ca-keys.ts";
import { decodeCertificates } from "../ca/pem-file.ts";
import {
  type Rotating,
  type RotationName,
  type RotationStatus,
  rotationStatus,
  stepRotation,
  undoRotation,
} from "../ca/rotations.ts";
import { paths } from "../deployment.ts";
import { Failure, systemCode } from "../failure.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";

export const rotationHandlers: HandlersOf<typeof rotationCommands> = {
  "rotation.status": (on, { what }, caller) =>
    what === "server" ? serverStatus(on) : rotationStatus(what, rotating(on, caller)),

  "rotation.step": async (on, { what, to }, caller) => {
    if (what === "server") return renewServers(on, caller);
    await stepRotation(what, rotating(on, caller), caller, to);
    return settled(on, what, "step", caller);
  },

  "rotation.undo": async (on, { what }, caller) => {
    if (what === "server") {
      throw new Failure("ERR_ROTATION", "a server certificate is replaced in one step", {
        hint: "take the step again: wardmq rotate server DIR --step",
      });
    }
    undoRotation(what, on.rotations);
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
      const why = systemCode(cause) ?? "failed";
      const hint = "name a new file in a folder that you may write to";
      throw notHere(`can not be written to ${printable(to)}: ${why}`, hint);
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

function rotating({ registry, rotations, lists, servers }: Surroundings, { at }: Caller): Rotating {
  const shown = servers
    .shown()
    .flatMap(({ serialNumber }) => servers.issued.find(serialNumber) ?? []);
  return {
    registry,
    steps: rotations,
    lists,
    identity: registry.identity,
    servers: shown,
    now: at,
  };
}

/** One certificate for each broker, and no step that it stands on. */
function serverStatus({ servers }: Surroundings): RotationStatus & { servers: ServerStatus[] } {
  const shown = servers.shown().map((one) => ({
    ...one,
    ...(one.isOurs ? { renewalAt: Math.floor(renewalAt(one)) } : {}),
  }));
  const meaning =
    shown.length === 0
      ? "no broker is connected"
      : "each broker makes its key, control signs, and both are replaced at two thirds of its life";
  return { what: "server", step: "idle", meaning, servers: shown };
}

type ServerStatus = ServerCertificate & { readonly renewalAt?: number };

/** Has each broker make a new key now: the former one goes with the certificate that takes its place. */
async function renewServers(on: Surroundings, caller: Caller) {
  if (on.servers.shown().length === 0) {
    throw new Failure(
      "ERR_ROTATION",
      "no broker is connected, and the key is the broker's to make",
      {
        hint: "start the broker: it gets a new certificate by itself when it is time",
      },
    );
  }
  const [why, ...more] = await on.servers.renew();
  if (why !== undefined) {
    const others = more.length === 0 ? "" : ` (and ${more.length} brokers more)`;
    throw new Failure("ERR_ROTATION", `${printable(why)}${others}`, {
      hint: "the former certificate is still in use; wardmq rotate server DIR shows it",
    });
  }
  const details = { actor: caller.actor, what: "server", move: "step", step: "idle" };
  on.record({ type: "rotation-step", details });
  return serverStatus(on);
}

/** The files have changed: brokers, the server certificate and the CRLs follow. */
async function settled(
  on: Surroundings,
  what: RotationName,
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

function notHere(why: string, hint?: string): Failure {
  return new Failure("ERR_ROOT_KEY", `the key of the root CA ${why}`, { hint });
}

function moved<Where extends object>(on: Surroundings, caller: Caller, where: Where): Where {
  on.registry.recordChange("root-key.move", caller);
  on.record({ type: "root-key-moved", details: { actor: caller.actor, ...where } });
  return where;
}
