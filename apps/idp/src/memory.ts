type Payload = Readonly<Record<string, unknown>> & {
  readonly grantId?: string;
  readonly uid?: string;
  readonly userCode?: string;
};

interface Kept {
  readonly payload: Payload;
  /** Milliseconds since 1970. */
  readonly until: number;
}

/**
 * What the provider remembers, by kind and id, until it expires or the process ends: the adapter that oidc-provider asks
 * for. There are a handful of logins, so whatever is no id is looked for one by one.
 */
export function memory(): (kind: string) => object {
  const kinds = new Map<string, Map<string, Kept>>();
  return (kind) => {
    const kept = kinds.get(kind) ?? new Map<string, Kept>();
    kinds.set(kind, kept);
    const find = (id: string): Payload | undefined => {
      const one = kept.get(id);
      if (one === undefined || one.until > Date.now()) return one?.payload;
      kept.delete(id);
      return undefined;
    };
    const findBy = (key: "uid" | "userCode", value: string) =>
      [...kept.keys()].map(find).find((payload) => payload?.[key] === value);
    return {
      upsert: async (id: string, payload: Payload, lifeSeconds = Number.POSITIVE_INFINITY) => {
        kept.set(id, { payload, until: Date.now() + lifeSeconds * 1000 });
      },
      find: async (id: string) => find(id),
      findByUid: async (uid: string) => findBy("uid", uid),
      findByUserCode: async (userCode: string) => findBy("userCode", userCode),
      consume: async (id: string) => {
        const one = kept.get(id);
        const consumed = Math.floor(Date.now() / 1000);
        if (one !== undefined) kept.set(id, { ...one, payload: { ...one.payload, consumed } });
      },
      destroy: async (id: string) => void kept.delete(id),
      revokeByGrantId: async (grantId: string) => {
        for (const [id, { payload }] of kept) if (payload.grantId === grantId) kept.delete(id);
      },
    };
  };
}
