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

const rolesMoved =
  "stands in the policy now: write claims: - { issuer: NAME, claim: ..., value: ..., role: ... } in policy.yaml, and acr, amr and certificateBound under requires: of the role";

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
});

const file = z.strictObject({
  issuers: z.record(
    z.string().regex(/^[a-z0-9-]{1,16}$/, "expected a name of 1 to 16 characters a-z, 0-9 and -"),
    issuer,
  ),
});

/** One issuer as `issuers.yaml` has it: what brokers are told, and how control gets the rest. */
export interface IssuerSettings extends Omit<Issuer, "keys" | "keysUntil"> {
  readonly jwksUri: string | undefined;
  /** PEM certificates the issuer's HTTPS is trusted by, instead of the runtime's. */
  readonly caFile: string | undefined;
  readonly refreshSeconds: number;
  readonly keysMaximumAgeSeconds: number;
}

/** The issuers of the text of an `issuers.yaml`; throws an IssuersError that lists everything that is wrong. */
export function parseIssuers(text: string, fileName = "issuers.yaml"): readonly IssuerSettings[] {
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
  const issuers = Object.entries(read.data.issuers).map(([name, { roles: _, ...given }]) => ({
    name,
    ...given,
    jwksUri: given.jwksUri,
    caFile: given.caFile,
    attributes: (given.attributes ?? {}) as Readonly<Record<string, string>>,
  }));
  const twice = issuers.find((one) =>
    issuers.some((other) => other !== one && other.issuer === one.issuer),
  );
  if (twice !== undefined) {
    const message = "another issuer of this file has the same iss: one name for each";
    throw new IssuersError(fileName, [
      placed(["issuers", twice.name, "issuer"], message, document, at),
    ]);
  }
  return issuers;
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
