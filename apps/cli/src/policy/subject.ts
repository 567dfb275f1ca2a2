import { printable } from "@wardmq/events";
import type { Action, Subject } from "@wardmq/policy";
import { ask } from "../ask.ts";
import { Failure } from "../failure.ts";

/** The subject of this id as the registry knows it, or as `--attribute` says for one that has no record. */
export async function subjectOf(id: string, given: readonly string[]): Promise<Subject> {
  const [, kind, name] = /^(device|service|person|app):([A-Za-z0-9_-]{1,64})$/.exec(id) ?? [];
  if (kind === undefined || name === undefined) {
    const hint = "write device:UUID, service:NAME, person:NAME or app:NAME";
    throw new Failure(2, `"${printable(id, 80)}" names no subject`, hint);
  }
  const record = await recordOf(id, kind, given.length > 0);
  const attributes = {
    ...record?.attributes,
    ...Object.fromEntries(given.map(parsePair)),
    id: name,
  };
  return { id, kind: kind as Subject["kind"], attributes };
}

/** Nothing for people and apps, who have no record, and where attributes are given for one that is not registered. */
async function recordOf(id: string, kind: string, isGiven: boolean) {
  if (kind !== "device" && kind !== "service") return undefined;
  try {
    return await ask("show", { subject: id });
  } catch (error) {
    if (isGiven && error instanceof Failure) return undefined;
    throw error;
  }
}

function parsePair(text: string): [string, string] {
  const [, name, value] = /^(\w+)=([A-Za-z0-9_-]{1,64})$/.exec(text) ?? [];
  if (name !== undefined && value !== undefined) return [name, value];
  throw new Failure(2, `"${printable(text, 80)}" is no attribute`, "write it as ward=icu-3");
}

export function actionOf(word: string): Action {
  if (word === "publish" || word === "subscribe") return word;
  throw new Failure(2, `"${printable(word, 80)}" is no action`, "write publish or subscribe");
}

/** Milliseconds since 1970 of `--at`, or now. */
export function timeOf(text: string | undefined): number {
  if (text === undefined) return Date.now();
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return at;
  throw new Failure(2, `"${printable(text, 80)}" is no time`, "write it as 2026-11-27T08:00:00Z");
}
