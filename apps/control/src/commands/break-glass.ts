import type { BreakGlassUse, breakGlassCommands, Commands } from "@wardmq/commands";
import type { BreakGlassRow } from "@wardmq/tokens";
import { Failure } from "../failure.ts";
import { breakGlassRole } from "../tokens/issuers.ts";
import type { Caller, HandlersOf, Surroundings } from "./handler.ts";
import { areTwoPeople, personOf } from "./operators.ts";
import { wrongRequest } from "./requests.ts";

type Wanted = Commands["break-glass.take"]["arguments"];

const minuteMs = 60_000;

export const breakGlassHandlers: HandlersOf<typeof breakGlassCommands> = {
  "break-glass.take": (on, wanted, caller) => {
    const { tokens, pending, record } = on;
    const now = tokens.now();
    const { person, actor, row } = takerOf(on, wanted, caller);
    const running = pending.breakGlass
      .active(now)
      .find((one) => one.person === person && one.name === wanted.name);
    if (running !== undefined) {
      const until = new Date(running.until).toISOString();
      throw new Failure("ERR_BREAK_GLASS", `${wanted.name} is taken until ${until}`, {
        hint: "it can not be made longer: take it again when it has ended",
      });
    }
    const { apiRole, policyRole } = row;
    // Whole seconds: that is how the policy says when something ends.
    const end = now + (wanted.minutes ?? row.longestMinutes) * minuteMs;
    const use = pending.breakGlass.take({
      name: wanted.name,
      ...{ person, actor },
      ...(apiRole === undefined ? {} : { apiRole }),
      ...(policyRole === undefined ? {} : { policyRole }),
      reason: wanted.because,
      takenAt: Math.round(now),
      until: Math.floor(end / 1000) * 1000,
    });
    record({ type: "break-glass-taken", subject: person, details: detailsOf(use, caller.actor) });
    on.breakGlassChanged();
    return use;
  },

  "break-glass.list": ({ pending, tokens }) => ({
    uses: [...pending.breakGlass.list(tokens.now())],
  }),

  "break-glass.end": (on, { id }, caller) => {
    const now = Math.round(on.tokens.now());
    const use = useOf(on, id, now);
    const mayEnd =
      use.actor === caller.actor || ["security-officer", "local"].includes(caller.role);
    if (!mayEnd) {
      throw new Failure("ERR_FORBIDDEN", "somebody else took it", {
        hint: "a security officer can end it",
      });
    }
    if (use.state !== "active") throw alreadyIs(use);
    const ended = on.pending.breakGlass.end(use, caller.actor, now);
    on.record({
      type: "break-glass-ended",
      subject: ended.person,
      details: detailsOf(ended, caller.actor),
    });
    on.breakGlassChanged();
    return ended;
  },

  "break-glass.review": (on, { id, finding }, caller) => {
    const now = Math.round(on.tokens.now());
    const use = useOf(on, id, now);
    if (use.state !== "ended") throw alreadyIs(use);
    if (!areTwoPeople(on.registry, use.actor, caller.actor)) {
      throw new Failure("ERR_APPROVAL_SAME_PERSON", `${use.actor} may be ${caller.actor}`, {
        hint: "another security officer has to review it",
      });
    }
    const reviewed = on.pending.breakGlass.review(use, caller.actor, finding, now);
    on.record({
      type: "break-glass-reviewed",
      subject: reviewed.person,
      details: detailsOf(reviewed, caller.actor),
    });
    return reviewed;
  },
};

/** Whether what is to be taken waits for a second person first; throws where this caller may not take it at all. */
export function takingNeedsApproval(on: Surroundings, wanted: Wanted, caller: Caller): boolean {
  return takerOf(on, wanted, caller).row.secondPerson;
}

/** The reason stays in the list: it is a person's text, and an event holds nothing about a patient. */
function detailsOf(use: BreakGlassUse, actor: string) {
  const { id, name, apiRole, policyRole, until } = use;
  return { actor, id, name, role: apiRole ?? policyRole ?? "", until };
}

interface Taker {
  readonly person: string;
  readonly actor: string;
  readonly row: BreakGlassRow;
}

/** Who takes it: the caller, or whoever asked for what the caller has approved. */
function takerOf(on: Surroundings, { name, minutes = 1 }: Wanted, caller: Caller): Taker {
  const { requestedBy, token } = caller;
  const actor = requestedBy ?? caller.actor;
  const person = requestedBy === undefined ? token?.grant.subject : personOf(on.registry, actor);
  if (person?.startsWith("person:") !== true) {
    throw new Failure("ERR_BREAK_GLASS", `${actor} is no person with a token`, {
      hint: "log in with wardmq login, and take it with --profile",
    });
  }
  const issuer = person.slice("person:".length).split("_", 1)[0] ?? "";
  const row = on.tokens.settingsOf(issuer)?.api?.breakGlass.find((one) => one.name === name);
  const isOffered =
    requestedBy !== undefined || token?.grant.roles.includes(breakGlassRole(name)) === true;
  if (row === undefined || !isOffered) {
    throw new Failure("ERR_BREAK_GLASS", `${actor} may not take ${name}`, {
      hint: "issuers.yaml says who may, and how they have to have logged in",
    });
  }
  if (minutes > row.longestMinutes) {
    const why = `${name} can be taken for ${row.longestMinutes} minutes at most`;
    throw wrongRequest(why, "take it for less"); // as minutes that no row could allow are
  }
  return { person, actor, row };
}

function useOf({ pending }: Surroundings, id: string, now: number): BreakGlassUse {
  const use = pending.breakGlass.get(id, now);
  if (use !== undefined) return use;
  throw new Failure("ERR_BREAK_GLASS_UNKNOWN", "nothing was taken under this id", {
    hint: "wardmq break-glass list DIR shows what was",
  });
}

function alreadyIs({ state }: BreakGlassUse): Failure {
  return new Failure("ERR_BREAK_GLASS", `it is ${state}`, {
    hint: "wardmq break-glass list DIR shows it",
  });
}
