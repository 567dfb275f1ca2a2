import { isDeepStrictEqual } from "node:util";
import type { Certificate } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { StateFile } from "../files.ts";
import type { DeploymentIdentity, Doing, Registry } from "../registry/registry.ts";
import { feedKeyRotation } from "./feed-key-rotation.ts";
import { issuingCaRotation } from "./issuing-ca-rotation.ts";
import type { RevocationLists } from "./revocation-lists.ts";
import { rootRotation } from "./root-rotation.ts";

/** What a rotation acts on. */
export interface Rotating {
  readonly registry: Registry;
  /** Where the steps are written down. */
  readonly steps: StateFile;
  readonly lists: Pick<RevocationLists, "publishLast">;
  readonly identity: DeploymentIdentity;
  /** What brokers show, as far as control has signed it. */
  readonly servers: readonly Certificate[];
  readonly now: number;
}

const moves = ["staged", "used", "retired"] as const;
export type RotationMove = (typeof moves)[number];
export type RotationStep = RotationMove | "undone";

/** How one thing is replaced by its successor. `Detail` is what both are, in JSON: certificates and public keys. */
export interface Rotation<Detail> {
  /** What each step means, for a person. */
  readonly meaning: Readonly<Record<"idle" | "staged" | "used", string>>;
  /** Makes the successor and its key. */
  stage(on: Rotating): Promise<Detail>;
  /** What the former one signs last, before `settle` destroys its key. */
  signLast?(detail: Detail, on: Rotating): Promise<void>;
  /** Puts the files as a step has them; whatever a crash left half done is done again. */
  settle(detail: Detail, step: RotationStep): void;
  /** Why a step can not be taken yet, or nothing. */
  waitsFor(detail: Detail, on: Rotating, next: "used" | "retired"): string | undefined;
}

export const rotations = {
  "issuing-ca": issuingCaRotation,
  root: rootRotation,
  "feed-key": feedKeyRotation,
} as const;
export type RotationName = keyof typeof rotations;

interface Entry {
  readonly step: RotationStep;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly actor: string;
  readonly detail: unknown;
}

type Entries = { readonly [Name in RotationName]?: Entry };

export interface RotationStatus {
  readonly what: RotationName | "server";
  readonly step: "idle" | "staged" | "used";
  readonly meaning: string;
  readonly startedAt?: number;
  readonly actor?: string;
  /** Why the next step can not be taken yet. */
  readonly waitsFor?: string;
}

/**
 * Takes the next step of a rotation:
 *
 *     idle --step--> staged (known to all) --step--> used (in the former one's place) --step--> idle, the former one gone
 *       ^------undo----'      ^----------------undo---'
 *
 * A step that is named is taken once, however often it is asked for.
 * The step is written down first and the files follow, so that one that was cut off is finished by the next start of
 * control, or by the same command given again.
 */
export async function stepRotation(
  what: RotationName,
  on: Rotating,
  doing: Doing,
  to?: RotationMove,
): Promise<void> {
  const entries = readEntries(on.steps);
  const entry = entries[what];
  if (to !== undefined && isTaken(to, entry)) return;
  const rotation = rotationOf(what);
  if (entry === undefined) {
    refuseSecond(what, entries);
    const detail = await rotation.stage(on);
    const { actor, at: startedAt } = doing;
    return settle(on.steps, what, { step: "staged", startedAt, actor, detail });
  }
  const step = nextOf(entry.step);
  const why = rotation.waitsFor(entry.detail, on, step);
  if (why !== undefined) {
    throw new Failure("ERR_ROTATION", `the next step can not be taken yet: ${why}`, {
      hint: `wait, or take the last step back with wardmq rotate ${what} DIR --undo`,
    });
  }
  if (step === "retired") await rotation.signLast?.(entry.detail, on);
  if (!isDeepStrictEqual(readEntries(on.steps)[what], entry)) {
    throw new Failure("ERR_ROTATION", "another step was taken meanwhile", {
      hint: `wardmq rotate ${what} DIR shows where it stands`,
    });
  }
  settle(on.steps, what, { ...entry, step });
}

/** Whether the step that is meant was taken before; throws where it is not the next one either. */
function isTaken(to: RotationMove, entry: Entry | undefined): boolean {
  const at = entry === undefined || entry.step === "undone" ? -1 : moves.indexOf(entry.step);
  if (moves.indexOf(to) <= at) return true;
  const next = moves[at + 1];
  if (next === to) return false;
  throw new Failure("ERR_ROTATION", `the next step is ${next}, not ${to}`, {
    hint: "take one after the other; a rotation that has ended begins anew with staged",
  });
}

function nextOf(step: RotationStep): "used" | "retired" {
  return step === "staged" ? "used" : "retired";
}

/** Takes the last step back; what was retired does not come back. */
export function undoRotation(what: RotationName, steps: StateFile): void {
  const entry = readEntries(steps)[what];
  if (entry === undefined) {
    throw new Failure("ERR_ROTATION", `there is no rotation of ${what} to undo`, {
      hint: `wardmq rotate ${what} DIR shows where it stands`,
    });
  }
  settle(steps, what, { ...entry, step: entry.step === "used" ? "staged" : "undone" });
}

export function rotationStatus(what: RotationName, on: Rotating): RotationStatus {
  const entry = readEntries(on.steps)[what];
  const rotation = rotationOf(what);
  if (entry === undefined) return { what, step: "idle", meaning: rotation.meaning.idle };
  const step = entry.step === "used" ? "used" : "staged";
  const waitsFor = rotation.waitsFor(entry.detail, on, nextOf(step));
  const { startedAt, actor } = entry;
  const meaning = rotation.meaning[step];
  return { what, step, meaning, startedAt, actor, ...(waitsFor === undefined ? {} : { waitsFor }) };
}

/** What of one thing stands in the files of a rotation that is under way. */
export function rotationDetail<Detail>(
  what: RotationName,
  steps: StateFile,
): { readonly step: RotationStep; readonly detail: Detail } | undefined {
  // INVARIANT: the rotation of this name wrote it.
  return readEntries(steps)[what] as { step: RotationStep; detail: Detail } | undefined;
}

/** Finishes what a crash has cut off. */
export function settleRotations(steps: StateFile): void {
  for (const [what, entry] of Object.entries(readEntries(steps)))
    settle(steps, what as RotationName, entry);
}

function settle(steps: StateFile, what: RotationName, entry: Entry): void {
  writeEntries(steps, { ...readEntries(steps), [what]: entry });
  rotationOf(what).settle(entry.detail, entry.step);
  if (entry.step !== "retired" && entry.step !== "undone") return;
  const { [what]: _, ...others } = readEntries(steps);
  writeEntries(steps, others);
}

/** INVARIANT: the detail of an entry is of the rotation of its name. */
function rotationOf(what: RotationName): Rotation<unknown> {
  return rotations[what] as Rotation<unknown>;
}

/** The root and an issuing CA both write the certificates of the CAs. */
function refuseSecond(what: RotationName, entries: Entries): void {
  const other = what === "root" ? "issuing-ca" : what === "issuing-ca" ? "root" : undefined;
  if (other === undefined || entries[other] === undefined) return;
  throw new Failure("ERR_ROTATION", `a rotation of ${other} is under way`, {
    hint: `finish it first: wardmq rotate ${other} DIR`,
  });
}

function readEntries(steps: StateFile): Entries {
  const text = steps.read();
  return text === undefined ? {} : (JSON.parse(text) as Entries);
}

function writeEntries(steps: StateFile, entries: Entries): void {
  if (Object.keys(entries).length === 0) steps.remove();
  else steps.write(JSON.stringify(entries));
}
