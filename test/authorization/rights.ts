/** What a subject tries in a cell of the matrix. */
export interface Attempted {
  /** The Topic Name that is published to, or the Topic Filter that is subscribed to. */
  readonly asked: string;
  /** What somebody else publishes to, to see whether the subscription gets it; absent where nobody may. */
  readonly sample?: string;
}

/** One column of the matrix: the topic that is granted, or a neighbour of it that is not. */
export interface Right {
  readonly name: string;
  /** Nothing but the tenant of the subject decides about it: it is asked for in either of the two. */
  readonly isOfTenants?: boolean;
  readonly effect: "Permit" | "Deny";
  readonly publish?: (own: Place) => Attempted;
  readonly subscribe: (own: Place) => Attempted;
}

/** The two hospitals on the one broker. */
export const orgs = ["hospital", "clinic"] as const;

/** The levels of a device's topic. */
export interface Place {
  readonly org: string;
  readonly site: string;
  readonly ward: string;
  readonly id: string;
  readonly channel: string;
}

export function topicOf({ org, site, ward, id, channel }: Place): string {
  return `${org}/${site}/${ward}/device/${id}/${channel}`;
}

const named = (name: string, effect: Right["effect"], change: Partial<Place>): Right => {
  const at = (own: Place) => topicOf({ ...own, ...change });
  const attempted = (own: Place) => ({ asked: at(own), sample: at(own) });
  return { name, effect, publish: attempted, subscribe: attempted };
};

/** The message is one that the subject may read; the filter that would bring it is too wide. */
const tooWide = (name: string, filter: (own: Place) => string): Right => ({
  name,
  effect: "Deny",
  subscribe: (own) => ({ asked: filter(own), sample: topicOf(own) }),
});

/** The rules grant it, as they name no tenant: only that nothing crosses between tenants denies it. */
function inOtherTenant(own: Place): Attempted {
  const topic = topicOf({ ...own, org: own.org === orgs[0] ? orgs[1] : orgs[0] });
  return { asked: topic, sample: topic };
}

/** What is granted is one exact topic; each neighbour differs from it in one level. */
export const rights: readonly Right[] = [
  { ...named("its own topic", "Permit", {}), isOfTenants: true },
  named("another device", "Deny", { id: "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11" }),
  named("another ward", "Deny", { ward: "stroke-unit" }),
  named("another site", "Deny", { site: "south" }),
  {
    name: "another tenant",
    effect: "Deny",
    isOfTenants: true,
    publish: inOtherTenant,
    subscribe: inOtherTenant,
  },
  named("another channel", "Deny", { channel: "firmware" }),
  {
    name: "`$SYS`",
    effect: "Deny",
    publish: () => ({ asked: "$SYS/broker/uptime" }),
    subscribe: () => ({ asked: "$SYS/#" }),
  },
  {
    name: "`$share` around what is not granted",
    effect: "Deny",
    publish: (own) => ({ asked: `$share/g/${topicOf({ ...own, channel: "config" })}` }),
    subscribe: (own) => {
      const sample = topicOf({ ...own, channel: "config" });
      return { asked: `$share/g/${sample}`, sample };
    },
  },
  { ...tooWide("`+` for its tenant", (own) => topicOf({ ...own, org: "+" })), isOfTenants: true },
  tooWide("`+` for one level", (own) => topicOf({ ...own, ward: "+" })),
  tooWide("`#` below its own level", (own) => topicOf({ ...own, channel: "#" })),
  tooWide("`#`", () => "#"),
  tooWide("`+/#`", () => "+/#"),
];
