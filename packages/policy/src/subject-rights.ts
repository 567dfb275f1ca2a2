import { printable } from "@wardmq/events";
import {
  type Asked,
  agree,
  allAgree,
  anyLevel,
  askedFilter,
  askedName,
  type CompiledRule,
  type RuleSet,
  rulesTogether,
  type Values,
} from "./compiled-rule.ts";
import type { Decision, Subject, SubjectRights } from "./decision.ts";
import {
  deny,
  denyIndeterminate,
  denyNotApplicable,
  dollarDenied,
  malformedDenied,
} from "./denial.ts";
import { type Action, attributeNames, namePattern } from "./policy.ts";

/** The rights of a subject under the rules bound to it; a record that is not well formed has none. */
export function rightsUnder(rules: RuleSet, subject: Subject): SubjectRights {
  const fault = faultOf(subject);
  if (fault === undefined) return new RightsUnderRules(rules, subject);
  const refuse = () => deny("Indeterminate", fault);
  return { subject, decidePublish: refuse, decideSubscribe: refuse, decideReceive: refuse };
}

/** The registry keeps to this too; here it keeps odd text away from every rule, whatever happens there. */
function faultOf({ id, kind, attributes }: Subject): string | undefined {
  if (typeof attributes !== "object" || attributes === null) return "the record has no attributes";
  for (const name of Object.keys(attributes)) {
    const value: unknown = attributes[name];
    if (typeof value !== "string" || !namePattern.test(value)) {
      const what = `the attribute ${printable(name, 64)} of ${printable(id, 100)}`;
      return `${what} is not 1 to 64 letters, digits, _ or -: correct the record`;
    }
  }
  if (Object.hasOwn(attributes, "id") && id === `${kind}:${attributes["id"]}`) return undefined;
  return `the attribute id of ${printable(id, 100)} is not that of the subject: correct the record`;
}

class RightsUnderRules implements SubjectRights {
  readonly subject: Subject;
  readonly #rules: RuleSet;
  readonly #values: Values;

  constructor(rules: RuleSet, subject: Subject) {
    this.subject = subject;
    this.#rules = rules;
    const { attributes } = subject;
    this.#values = attributeNames.map((name) =>
      Object.hasOwn(attributes, name) ? attributes[name] : undefined,
    );
  }

  decidePublish(topicName: string): Decision {
    if (topicName.startsWith("$")) return dollarDenied;
    return this.#decide("publish", askedName(topicName));
  }

  decideReceive(topicName: string): Decision {
    return this.#decide("subscribe", askedName(topicName));
  }

  decideSubscribe(topicFilter: string): Decision {
    const asked = askedFilter(topicFilter);
    const decision = this.#decide("subscribe", asked);
    if (decision.effect === "Permit" || !asked) return decision;
    return this.#permitTogether(asked) ?? decision;
  }

  /** Hot path: any rule that agrees permits; the rest only explains a Deny. */
  #decide(action: Action, asked: Asked | undefined): Decision {
    if (!asked) return malformedDenied;
    const rules = this.#rules[action];
    const values = this.#values;
    let nearest: CompiledRule | undefined;
    let most = -1;
    let unsure: CompiledRule | undefined;
    let unsureAt = 0;
    for (let i = 0; i < rules.length; i++) {
      const rule = rules[i] as CompiledRule;
      const agreed = agree(rule, values, asked);
      if (agreed === allAgree) return rule.permit;
      if (agreed > most) {
        nearest = rule;
        most = agreed;
      }
      const level = rule.levels[agreed];
      if (typeof level === "number" && level !== anyLevel && values[level] === undefined) {
        unsure = rule;
        unsureAt = agreed;
      }
    }
    return unsure
      ? denyIndeterminate(this.subject, unsure, unsureAt)
      : denyNotApplicable(this.subject, action, this.#rules, nearest, most, values);
  }

  #permitTogether(asked: Asked): Decision | undefined {
    const rules = rulesTogether(this.#rules.subscribe, this.#values, asked);
    if (!rules) return undefined;
    const ruleId = rules.map(({ id }) => id).join(",");
    return { effect: "Permit", because: "Permit", ruleId, hint: undefined };
  }
}
