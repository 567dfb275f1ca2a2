import { matches } from "../test/topics.ts";

/** What each kind of subject may do: filters, with braces for the device's own uuid. */
interface Rules {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const own = "hospital/north/icu/device/{id}";

/** The policies of the fuzz, which come and go: under the second everybody has less. */
const policies: readonly Readonly<Record<"tester" | "limited" | "device", Rules>>[] = [
  {
    tester: { publish: ["#"], subscribe: ["#", "$SYS/#"] },
    limited: { publish: ["allowed/#"], subscribe: ["allowed/#"] },
    device: { publish: [`${own}/telemetry`, `${own}/alarm`], subscribe: [`${own}/command`] },
  },
  {
    tester: { publish: ["t/#", "hospital/#"], subscribe: ["t/#", "allowed/#"] },
    limited: { publish: ["allowed/x"], subscribe: ["allowed/x"] },
    device: { publish: [`${own}/alarm`], subscribe: [] },
  },
];

const retaining = ({ publish, subscribe }: Rules) => ({
  publish: publish.map((filter) => ({ filter, retain: "allowed" })),
  subscribe,
});

/** The texts of these policies. */
export const policyTexts: readonly string[] = policies.map(({ tester, limited, device }) =>
  JSON.stringify({
    topics: { schema: "off" },
    roles: { tester: retaining(tester), limited: retaining(limited), device: retaining(device) },
    bindings: [
      { role: "tester", to: "service:tester" },
      { role: "limited", to: "service:limited" },
      { role: "device", to: "device:*" },
    ],
  }),
);

export const deviceTopic = (uuid: string, channel: string) =>
  `${own.replace("{id}", uuid)}/${channel}`;

/** The plain twin of the policies: every filter of the subject, level by level. */
export class Rights {
  which = 0;

  #filters(subject: string, action: keyof Rules): readonly string[] {
    const policy = policies[this.which] as (typeof policies)[number];
    const name = subject === "tester" || subject === "limited" ? subject : "device";
    return policy[name][action].map((filter) => filter.replace("{id}", subject));
  }

  mayPublish(subject: string, topic: string): boolean {
    if (topic.startsWith("$")) return false;
    return this.#filters(subject, "publish").some((filter) => matches(filter, topic));
  }

  /** Whether what the subject sends may ask for an answer there. */
  mayBeAnswered(subject: string, responseTopic: string | undefined): boolean {
    return responseTopic === undefined || this.maySubscribe(subject, responseTopic);
  }

  mayReceive(subject: string, topic: string): boolean {
    return this.#filters(subject, "subscribe").some((filter) => matches(filter, topic));
  }

  /** A filter is allowed when every topic it can ever match is; these policies have `#` at the end or no wildcard. */
  maySubscribe(subject: string, asked: string): boolean {
    return this.#filters(subject, "subscribe").some((filter) => {
      if (filter === "#") return !asked.startsWith("$");
      const above = filter.endsWith("/#") ? filter.slice(0, -2) : undefined;
      return (
        asked === filter ||
        asked === above ||
        (above !== undefined && asked.startsWith(`${above}/`))
      );
    });
  }
}
