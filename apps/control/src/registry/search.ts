import type { SubjectState } from "@wardmq/feed";
import type { RegisteredSubject } from "./rows.ts";

/** What is looked for: all that is there has to be true. */
export interface Query {
  readonly kind?: RegisteredSubject["kind"];
  readonly state?: SubjectState;
  readonly org?: string;
  readonly site?: string;
  readonly ward?: string;
  readonly model?: string;
  readonly maker?: string;
  readonly serial?: string;
  readonly owner?: string;
  readonly tag?: string;
  /** What the uuid, the name or the serial number of the maker begins with. */
  readonly prefix?: string;
  /** The last active certificate ends before this, milliseconds since 1970. */
  readonly expiringBefore?: number;
  /** Key identifier of a CA that signed an active certificate. */
  readonly ca?: string;
}

type Test<Value> = (subject: RegisteredSubject, wanted: Value) => boolean;

/** One test for each thing that can be looked for. */
const tests: { readonly [Name in keyof Required<Query>]: Test<NonNullable<Query[Name]>> } = {
  kind: ({ kind }, wanted) => kind === wanted,
  state: ({ state }, wanted) => state === wanted,
  org: ({ attributes }, wanted) => attributes["org"] === wanted,
  site: ({ attributes }, wanted) => attributes["site"] === wanted,
  ward: ({ attributes }, wanted) => attributes["ward"] === wanted,
  model: ({ attributes }, wanted) => attributes["model"] === wanted,
  maker: ({ details }, wanted) => details.maker === wanted,
  serial: ({ details }, wanted) => details.serial === wanted,
  owner: ({ details }, wanted) => details.owner === wanted,
  tag: ({ tags }, wanted) => tags.includes(wanted),
  prefix: ({ attributes, details }, wanted) =>
    attributes["id"]?.startsWith(wanted) === true || details.serial?.startsWith(wanted) === true,
  expiringBefore: ({ certificates }, wanted) => {
    const ends = certificates.filter(({ state }) => state === "active").map((one) => one.notAfter);
    return ends.length > 0 && Math.max(...ends) < wanted;
  },
  ca: ({ certificates }, wanted) =>
    certificates.some(({ state, issuer }) => state === "active" && issuer === wanted),
};

/** Whether everything that is looked for is true of a subject. */
export function isFound(subject: RegisteredSubject, query: Query): boolean {
  return (Object.keys(query) as (keyof Query)[]).every((name) => {
    const wanted = query[name];
    return wanted === undefined || (tests[name] as Test<unknown>)(subject, wanted);
  });
}
