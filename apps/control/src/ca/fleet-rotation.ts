import type { LifecycleNotice } from "@wardmq/feed";
import { paths } from "../deployment.ts";
import { Failure } from "../failure.ts";
import type { StateFile } from "../files.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { RegistryChange } from "../registry/rows.ts";
import { caIdOf } from "./certificate-authority.ts";
import { decodeCertificates } from "./pem-file.ts";
import type { RevokedCas } from "./revoked-cas.ts";
import { type Rotating, rotationStatus, stepRotation } from "./rotations.ts";

/** What of an emergency has to survive a restart; who has renewed is in the registry. */
interface State {
  readonly because: string;
  readonly actor: string;
  readonly startedAt: number;
  /** From here on nobody gets in with a certificate of a former CA; absent: when the last device has renewed. */
  readonly deadline?: number;
  /** Ids of the CAs that are to be left. */
  readonly former: readonly string[];
  /** Devices are told in the order of their ids: all up to this one have been. */
  readonly toldUpTo: string;
  /** How many are told at a time. */
  readonly wave: number;
}

export interface FleetStatus {
  readonly isRunning: boolean;
  readonly because?: string;
  readonly startedAt?: number;
  readonly deadline?: number;
  /** Devices that have a certificate of the new CA, those that were told and have not renewed, and those not yet told. */
  readonly renewed: number;
  readonly told: number;
  readonly waiting: number;
  /** Services and operators, whom nobody tells: an operator renews them. */
  readonly others: number;
}

export interface FleetParts {
  readonly registry: Registry;
  readonly file: StateFile;
  readonly steps: StateFile;
  readonly lists: Rotating["lists"];
  readonly revokedCas: RevokedCas;
  readonly publish: (change: RegistryChange) => void;
  /** Takes changed CA files over. */
  readonly reload: (doing: Doing) => Promise<unknown>;
  readonly now: () => number;
}

const firstWave = 25;
const smallestWave = 5;
const largestWave = 1_000;

/**
 * Moves all devices to a new issuing CA:
 *
 *     idle --start--> running: told in waves, each renews with a new key --nobody is left, or the deadline--> former CA gone
 *
 * A wave doubles when half of those told before have renewed, and halves when they have not: a network or an EST door
 * that cannot keep up is not asked for more. Who is offline finds the message on its lifecycle topic when it comes back.
 */
export class FleetRotation {
  readonly #parts: FleetParts;
  /** Told, and not renewed when last looked at. */
  #outstanding: ReadonlySet<string> = new Set();

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  async start(because: string, deadline: number | undefined, doing: Doing): Promise<void> {
    if (this.#read() !== undefined) {
      throw new Failure("ERR_ROTATION", "a rotation of the fleet is under way", {
        hint: "wardmq rotate fleet DIR shows where it stands",
      });
    }
    if (deadline !== undefined && deadline <= doing.at) {
      throw new Failure("ERR_ROTATION", "the deadline is in the past");
    }
    const before = decodeCertificates(paths.issuingCertificate);
    const on = this.#rotating(doing.at);
    if (rotationStatus("issuing-ca", on).step === "idle") {
      await stepRotation("issuing-ca", on, doing);
      await this.#parts.reload(doing); // brokers trust the new CA before anything comes from it
    }
    if (rotationStatus("issuing-ca", on).step === "staged") {
      await stepRotation("issuing-ca", on, doing);
      await this.#parts.reload(doing);
    }
    const [used] = decodeCertificates(paths.issuingCertificate).map(caIdOf);
    const former = before.filter((ca) => caIdOf(ca) !== used);
    this.#parts.revokedCas.add(former, doing.at);
    this.#write({
      because,
      actor: doing.actor,
      startedAt: doing.at,
      ...(deadline === undefined ? {} : { deadline }),
      former: former.map(caIdOf),
      toldUpTo: "",
      wave: firstWave,
    });
    this.#parts.registry.recordChange("fleet.rotate", doing);
    await this.tick();
  }

  status(): FleetStatus {
    const state = this.#read();
    if (state === undefined)
      return { isRunning: false, renewed: 0, told: 0, waiting: 0, others: 0 };
    const { because, startedAt, deadline } = state;
    const { left, renewed, others } = this.#subjects(state);
    const told = left.filter((id) => id <= state.toldUpTo).length;
    return {
      isRunning: true,
      because,
      startedAt,
      ...(deadline === undefined ? {} : { deadline }),
      renewed,
      told,
      waiting: left.length - told,
      others,
    };
  }

  /** What brokers have to know when they begin: everybody who was told and has not renewed. */
  notices(): readonly LifecycleNotice[] {
    const state = this.#read();
    if (state === undefined) return [];
    const devices = this.#subjects(state).left.filter((id) => id <= state.toldUpTo);
    return [{ message: messageOf(state), devices }];
  }

  /** Tells the next wave, takes the message back from who has renewed, and ends what is done or overdue. */
  async tick(): Promise<void> {
    const state = this.#read();
    if (state === undefined) return;
    const { left, others } = this.#subjects(state);
    const now = this.#parts.now();
    const isOverdue = state.deadline !== undefined && now >= state.deadline;
    this.#takeBack(new Set(left));
    if (left.length + others === 0 || isOverdue) return this.#finish(state, left, now);
    const before = this.#outstanding.size;
    const told = left.filter((id) => id <= state.toldUpTo);
    const isKeepingUp = before === 0 || told.length <= before / 2;
    const wave = Math.min(
      largestWave,
      Math.max(smallestWave, isKeepingUp ? state.wave * 2 : Math.floor(state.wave / 2)),
    );
    const next = left.filter((id) => id > state.toldUpTo).slice(0, state.wave);
    const last = next.at(-1);
    if (last !== undefined) {
      this.#parts.publish({ lifecycle: { message: messageOf(state), devices: next } });
      this.#write({ ...state, toldUpTo: last, wave });
    }
    this.#outstanding = new Set([...told, ...next]);
  }

  #takeBack(left: ReadonlySet<string>): void {
    const renewed = [...this.#outstanding].filter((id) => !left.has(id));
    if (renewed.length > 0) this.#parts.publish({ lifecycle: { message: "", devices: renewed } });
    this.#outstanding = new Set([...this.#outstanding].filter((id) => left.has(id)));
  }

  /** Nobody gets in with a certificate of the former CA any more, and it goes. */
  async #finish(state: State, left: readonly string[], now: number): Promise<void> {
    const { registry, publish, reload } = this.#parts;
    const doing = { actor: state.actor, at: now };
    const changed = state.former.flatMap((id) => registry.revokeCertificatesOf(id, doing));
    if (changed.length > 0) publish({ subjects: changed });
    if (left.length > 0) publish({ lifecycle: { message: "", devices: left } });
    const on = this.#rotating(now);
    if (rotationStatus("issuing-ca", on).step === "used")
      await stepRotation("issuing-ca", on, doing);
    await reload(doing);
    registry.recordChange("fleet.rotated", doing);
    this.#parts.file.remove();
  }

  /** Who has only certificates of a former CA: devices by id, the others counted; and how many devices have another. */
  #subjects({ former }: State): { left: readonly string[]; renewed: number; others: number } {
    const active = this.#parts.registry.ownExpiries(this.#parts.now());
    const renewed = new Set(
      active.filter(({ issuer }) => !former.includes(issuer)).map(({ subject }) => subject),
    );
    const isDevice = (id: string) => id.startsWith("device:");
    const left = new Set(active.map(({ subject }) => subject).filter((id) => !renewed.has(id)));
    const devices = [...left].filter(isDevice).sort();
    return {
      left: devices,
      renewed: [...renewed].filter(isDevice).length,
      others: left.size - devices.length,
    };
  }

  #read(): State | undefined {
    const text = this.#parts.file.read();
    return text === undefined ? undefined : (JSON.parse(text) as State);
  }

  #write(state: State): void {
    this.#parts.file.write(JSON.stringify(state));
  }

  #rotating(now: number): Rotating {
    const { registry, steps, lists } = this.#parts;
    // The former CA may be in wrong hands: its end waits for no broker.
    return { registry, steps, lists, identity: registry.identity, servers: [], now };
  }
}

/** What a device reads: why, and until when its certificate is good. */
function messageOf({ because, startedAt, deadline }: State): string {
  return JSON.stringify({
    action: "re-enrol",
    newKey: true,
    because,
    since: new Date(startedAt).toISOString(),
    ...(deadline === undefined ? {} : { before: new Date(deadline).toISOString() }),
  });
}
