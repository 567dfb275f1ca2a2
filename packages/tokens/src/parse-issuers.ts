import { printable } from "@wardmq/events";
import { type Document, isNode, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { algorithmNames, defaultAlgorithms } from "./algorithms.ts";
import type { Issuer } from "./issuer.ts";
import { IssuersError, type IssuersProblem } from "./issuers-error.ts";

const minute = 60;
const hour = 60 * minute;

const httpsUrl = z.string().refine((text) => {
  if (!URL.canParse(text) || !/^[\x21-\x7e]+$/.test(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return protocol === "https:" && `${username}${password}${hash}` === "";
}, "expected a URL that begins with https://, without user, password or #");

const claim = z.string().min(1).max(128);
const filePath = z.string().regex(/^[^\0]{1,1024}$/, "expected the path of a file");

const name = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, "expected 1 to 64 letters, digits, _ or -");
const texts = z.array(z.string().min(1).max(255)).min(1);

const rolesMoved =
  "stands in the policy now: write claims: - { issuer: NAME, claim: ..., value: ..., role: ... } in policy.yaml, and acr, amr and certificateBound under requires: of the role";

const login = { acr: texts.optional(), amr: texts.optional() };
/** Whom a row means: a claim, how somebody logged in, and whether the token is bound to a certificate. */
const who = {
  claim: z
    .union([claim, z.array(claim).min(1).max(8)])
    .transform((way) => (typeof way === "string" ? [way] : way)),
  value: z.string().min(1).max(255),
  ...login,
  certificateBound: z.boolean().optional(),
};
const role = z.strictObject({ role: name, ...who });

const introspection = z.strictObject({
  clientId: z.string().min(1).max(255),
  clientSecretFile: filePath,
  /** By discovery when left out. */
  endpoint: httpsUrl.optional(),
  cacheSeconds: z.int().min(0).max(60).default(10),
});

/** What an emergency lets somebody take: a role of the API, or one of the policy. */
const breakGlass = z
  .strictObject({
    name,
    apiRole: name.optional(),
    policyRole: name.optional(),
    ...who,
    longestMinutes: z.int().min(1).max(480).default(60),
    secondPerson: z.boolean().default(false),
  })
  .refine(
    ({ apiRole, policyRole }) => (apiRole === undefined) !== (policyRole === undefined),
    "expected one of apiRole and policyRole",
  );

const api = z.strictObject({
  audience: z.string().min(1).max(255),
  roles: z.array(role).max(1_000).default([]),
  stepUp: z
    .array(z.strictObject({ commands: texts, ...login }))
    .max(100)
    .default([]),
  breakGlass: z.array(breakGlass).max(100).default([]),
});

const issuer = z.strictObject({
  issuer: httpsUrl,
  audience: z.string().min(1).max(255),
  /** Where the keys are; by discovery (OpenID Connect Discovery 1.0, RFC 8414) when left out. */
  jwksUri: httpsUrl.optional(),
  caFile: filePath.optional(),
  algorithms: z
    .array(z.enum(algorithmNames))
    .min(1)
    .default([...defaultAlgorithms]),
  typ: z.string().min(1).max(64).default("at+jwt"),
  maximumLifeSeconds: z
    .int()
    .min(minute)
    .max(24 * hour)
    .default(hour),
  refreshSeconds: z
    .int()
    .min(10)
    .max(24 * hour)
    .default(10 * minute),
  keysMaximumAgeSeconds: z
    .int()
    .min(minute)
    .max(7 * 24 * hour)
    .default(8 * hour),
  requiredClaims: z.array(claim).max(16).default(["client_id", "jti"]),
  /** Where it stood once: said in a sentence of its own. */
  roles: z.never(rolesMoved).optional(),
  attributes: z.partialRecord(z.enum(["site", "ward"]), claim).optional(),
  introspection: introspection.optional(),
  api: api.optional(),
  /** The clients whose logout tokens are taken (OpenID Connect Back-Channel Logout 1.0). */
  backChannelLogout: z.strictObject({ clients: texts }).optional(),
});

const file = z.strictObject({
  issuers: z.record(
    z.string().regex(/^[a-z0-9-]{1,16}$/, "expected a name of 1 to 16 characters a-z, 0-9 and -"),
    issuer,
  ),
});

/** What a person may take for a limited time, and who may. */
export type BreakGlassRow = Frozen<z.infer<typeof breakGlass>>;
export type ApiSettings = Frozen<z.infer<typeof api>>;
export type IntrospectionSettings = Frozen<z.infer<typeof introspection>>;

type Frozen<Value> = Value extends object
  ? { readonly [Key in keyof Value]: Frozen<Value[Key]> }
  : Value;

/** One issuer as `issuers.yaml` has it: what brokers are told, and how control gets the rest. */
export interface IssuerSettings extends Omit<Issuer, "keys" | "keysUntil" | "isAsked"> {
  readonly introspection: IntrospectionSettings | undefined;
  /** Tokens for the API, which are for another audience. */
  readonly api: ApiSettings | undefined;
  /** The client ids that a logout token may be for. */
  readonly logoutClients: readonly string[];
  readonly jwksUri: string | undefined;
  /** PEM certificates the issuer's HTTPS is trusted by, instead of the runtime's. */
  readonly caFile: string | undefined;
  readonly refreshSeconds: number;
  readonly keysMaximumAgeSeconds: number;
}

/** What the API knows that `issuers.yaml` may name. */
export interface KnownToApi {
  readonly roles: readonly string[];
  readonly commands: readonly string[];
}

/** The issuers of the text of an `issuers.yaml`; throws an IssuersError that lists everything that is wrong. */
export function parseIssuers(
  text: string,
  known: KnownToApi = { roles: [], commands: [] },
  fileName = "issuers.yaml",
): readonly IssuerSettings[] {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    stringKeys: true,
    prettyErrors: false,
  });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const faults = yamlFaults(document).map(({ offset, message }) => ({
    ...at(offset),
    path: "",
    message,
  }));
  if (faults.length > 0) throw new IssuersError(fileName, faults);
  const read = file.safeParse(document.toJS());
  if (!read.success) {
    throw new IssuersError(
      fileName,
      read.error.issues.map((issue) => problemOf(issue, document, at)),
    );
  }
  const issuers = Object.entries(read.data.issuers).map(
    ([name, { backChannelLogout, roles: _, ...given }]) => ({
      name,
      ...given,
      introspection: given.introspection,
      api: given.api,
      logoutClients: backChannelLogout?.clients ?? [],
      jwksUri: given.jwksUri,
      caFile: given.caFile,
      attributes: (given.attributes ?? {}) as Readonly<Record<string, string>>,
    }),
  );
  const problems = contradictions(issuers, known);
  if (problems.length > 0) {
    throw new IssuersError(
      fileName,
      problems.map(([path, message]) => placed(["issuers", ...path], message, document, at)),
    );
  }
  return issuers;
}

type Contradiction = readonly [path: readonly PropertyKey[], message: string];

/** What is well formed and does not fit together. */
function contradictions(
  issuers: readonly IssuerSettings[],
  known: KnownToApi,
): readonly Contradiction[] {
  const found: Contradiction[] = [];
  const asked = issuers.filter(({ introspection }) => introspection !== undefined);
  if (asked.length > 1) {
    const message =
      "an opaque token does not say whose it is: only one issuer can be asked about it";
    found.push([[asked[1]?.name ?? "", "introspection"], message]);
  }
  for (const { name, issuer, audience, api } of issuers) {
    if (issuers.some((other) => other.name !== name && other.issuer === issuer)) {
      const message = "another issuer of this file has the same iss: one name for each";
      found.push([[name, "issuer"], message]);
    }
    if (api === undefined) continue;
    if (api.audience === audience) {
      const message = "is that of the brokers: a token for them would open the API";
      found.push([[name, "api", "audience"], message]);
    }
    const rows = [
      ...api.roles.map(({ role }, at) => [["roles", at, "role"], role] as const),
      ...api.breakGlass.map(({ apiRole }, at) => [["breakGlass", at, "apiRole"], apiRole] as const),
    ];
    for (const [path, role] of rows) {
      if (role === undefined || known.roles.includes(role)) continue;
      found.push([[name, "api", ...path], `expected ${known.roles.join(", ")}`]);
    }
    const names = api.breakGlass.map((row) => row.name);
    for (const [at, row] of api.breakGlass.entries()) {
      if (names.indexOf(row.name) === at) continue;
      found.push([[name, "api", "breakGlass", at, "name"], "is there twice"]);
    }
    for (const [at, { commands }] of api.stepUp.entries()) {
      const unknown = commands.find((one) => !known.commands.includes(one));
      if (unknown === undefined) continue;
      const message = `the API has no command ${printable(unknown, 60)}`;
      found.push([[name, "api", "stepUp", at, "commands"], message]);
    }
  }
  return found;
}

type At = (offset: number) => { readonly line: number; readonly column: number };

/** YAML without what a settings file has no use for. */
function yamlFaults(document: Document): readonly { offset: number; message: string }[] {
  const faults = [...document.errors, ...document.warnings].map(({ message, pos }) => ({
    offset: pos[0],
    message: `not valid YAML: ${printable(message.split("\n")[0] ?? "")}`,
  }));
  visit(document, {
    Alias: (_, { range }) => {
      faults.push({
        offset: range?.[0] ?? 0,
        message: "aliases are not used here: write the value out",
      });
    },
  });
  return faults;
}

function problemOf(issue: z.core.$ZodIssue, document: Document, at: At): IssuersProblem {
  if (issue.code === "unrecognized_keys") {
    const [key = ""] = issue.keys;
    return placed([...issue.path, key], "is not a known key", document, at);
  }
  const nested = issue.code === "invalid_key" ? issue.issues[0]?.message : undefined;
  return placed(issue.path, printable(nested ?? issue.message), document, at);
}

/** At the deepest part of the path that the file has. */
function placed(
  path: readonly PropertyKey[],
  message: string,
  document: Document,
  at: At,
): IssuersProblem {
  const names = path.map(String);
  let offset = 0;
  for (let depth = 0; depth <= names.length; depth += 1) {
    const node = depth === 0 ? document.contents : document.getIn(names.slice(0, depth), true);
    if (isNode(node)) offset = node.range?.[0] ?? offset;
  }
  return { ...at(offset), path: names.join("."), message };
}
