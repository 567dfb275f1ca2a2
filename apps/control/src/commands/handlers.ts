import { randomUUID } from "node:crypto";
import type { CommandName, CommandRequest, Commands, SubjectSummary } from "@wardmq/commands";
import { printable, type SecurityEvent } from "@wardmq/events";
import type { SubjectRecord, WorldChange } from "@wardmq/feed";
import {
  decodeCertificateRequest,
  decodePem,
  encodeName,
  formatSpiffeId,
  isUuid,
  parseAttribute,
  X509Error,
} from "@wardmq/x509";
import type { Authority } from "../ca/authority.ts";
import {
  certificatePem,
  issue,
  randomSerialNumber,
  sha256Hex,
  verifyProofOfPossession,
} from "../ca/certificate-authority.ts";
import { Failure } from "../failure.ts";
import type { Doing, Registry } from "../registry/registry.ts";

/** How brokers hear of a change, and what they did about it. */
export interface Publisher {
  /** Sends the change to every broker; the result settles when all have applied it, or after a second. */
  publish(change: WorldChange): () => Promise<Publication>;
}

export interface Publication {
  readonly answers: readonly {
    readonly connectionsClosed: number;
    readonly milliseconds: number;
  }[];
  /** Brokers that were connected and did not answer in time, or refused. */
  readonly unconfirmed: number;
}

/** What the commands act on; main joins it. */
export interface Surroundings {
  readonly registry: Registry;
  /** The CA, opened when a certificate is wanted: revoking works without it. */
  readonly authority: () => Authority;
  readonly publisher: Publisher;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly reload: (doing: Doing) => Promise<readonly string[]>;
  readonly lastEvents: (count: number) => readonly unknown[];
}

type Handler<Name extends CommandName> = (
  on: Surroundings,
  wanted: Commands[Name]["arguments"],
  doing: Doing,
) => Promise<Commands[Name]["result"]> | Commands[Name]["result"];

/** Every command, one row each: name and what it does. `init` comes before there is anything to act on. */
const handlers: { readonly [Name in CommandName]: Handler<Name> } = {
  init: () => {
    throw new Failure("ERR_FOLDER_NOT_EMPTY", "this deployment is made already");
  },
  "device.add": addDevice,
  "service.add": addService,
  list: ({ registry }) => ({ subjects: registry.subjects().map(summaryOf) }),
  revoke,
  credential,
  reload: async ({ reload }, _, doing) => ({ changed: await reload(doing) }),
  events: ({ lastEvents }, { last }) => {
    if (last >= 1 && last <= 10_000) return { events: lastEvents(last) };
    throw new Failure("ERR_REQUEST", "last is 1 to 10000");
  },
};

/** Does what a request asks for. */
export async function execute(
  on: Surroundings,
  request: CommandRequest,
  doing: Doing,
): Promise<unknown> {
  // INVARIANT: the arguments of a request are those of its command.
  const handler = handlers[request.command] as (...given: unknown[]) => unknown;
  return handler(on, request.arguments, doing);
}

function addDevice(
  on: Surroundings,
  { site, ward, model, id = randomUUID() }: Commands["device.add"]["arguments"],
  doing: Doing,
): SubjectSummary {
  if (!isUuid(id)) {
    throw new Failure("ERR_DEVICE_ID", `"${printable(id, 80)}" is not a uuid in lower case`, {
      hint: "write it like 0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11, or leave it out for a new one",
    });
  }
  const attributes = {
    org: on.registry.identity.org,
    site: attributeOf("site", site),
    ward: attributeOf("ward", ward),
    id,
    ...(model === undefined ? {} : { model: attributeOf("model", model) }),
  };
  return addSubject(on, "device", id, attributes, doing);
}

function addService(
  on: Surroundings,
  { name }: Commands["service.add"]["arguments"],
  doing: Doing,
): SubjectSummary {
  const id = attributeOf("the name of a service", name);
  return addSubject(on, "service", id, { org: on.registry.identity.org, id }, doing);
}

function addSubject(
  { registry, publisher, record }: Surroundings,
  kind: "device" | "service",
  id: string,
  attributes: Readonly<Record<string, string>>,
  doing: Doing,
): SubjectSummary {
  const { trustDomain } = registry.identity;
  const spiffeId = formatSpiffeId({ trustDomain, kind, id });
  const added = registry.addSubject({ id: `${kind}:${id}`, kind, attributes, spiffeId }, doing);
  publisher.publish({ subjects: [added] });
  record({ type: "subject-added", subject: added.id, details: { actor: doing.actor } });
  return summaryOf(added);
}

/** The registry is changed first: whatever happens to the brokers, the certificate is never valid again. */
async function revoke(
  { registry, publisher, record }: Surroundings,
  { subject }: Commands["revoke"]["arguments"],
  doing: Doing,
): Promise<Commands["revoke"]["result"]> {
  const id = subjectIdOf(subject);
  const revoked = registry.revokeSubject(id, doing);
  const published = publisher.publish({ subjects: [revoked.record] });
  record({ type: "subject-revoked-by", subject: id, details: { actor: doing.actor } });
  const { answers, unconfirmed } = await published();
  const { certificatesRevoked } = revoked;
  return {
    subject: id,
    certificatesRevoked,
    brokers: answers,
    ...(unconfirmed > 0 ? { unconfirmed } : {}),
  };
}

async function credential(
  on: Surroundings,
  { subject, certificateRequest }: Commands["credential"]["arguments"],
  doing: Doing,
): Promise<Commands["credential"]["result"]> {
  const { registry, publisher, record } = on;
  const { issuer, roots, ownKeys } = on.authority();
  const id = subjectIdOf(subject);
  const { kind, attributes, spiffeId } = registry.activeSubject(id);
  const request = parseCertificateRequest(certificateRequest);
  verifyProofOfPossession(request);
  const publicKeyHash = sha256Hex(request.publicKey);
  if (ownKeys.has(publicKeyHash)) {
    throw new Failure("ERR_KEY_IN_USE", "the public key is one of this deployment's own", {
      hint: "make a new key",
    });
  }
  registry.refuseUsedKey(publicKeyHash, id);
  const serialNumber = randomSerialNumber();
  registry.recordIntent(id, hexOf(serialNumber), publicKeyHash, doing);
  const issued = await issue(issuer, {
    profile: kind === "device" ? "device" : "service",
    subject: encodeName({ commonName: attributes["id"] ?? "" }),
    subjectAltName: [{ uri: spiffeId }],
    publicKey: request.publicKey,
    serialNumber,
    now: doing.at,
  });
  const bound = {
    fingerprint: sha256Hex(issued.der),
    serialNumber: hexOf(issued.serialNumber),
    notAfter: issued.validity.notAfter,
  };
  const { notBefore } = issued.validity;
  const changed = registry.recordCertificate(
    { ...bound, subject: id, publicKeyHash, notBefore, der: issued.der },
    doing,
  );
  await publisher.publish({ subjects: [changed] })();
  record({
    type: "certificate-issued",
    subject: id,
    certificate: {
      subject: spiffeId,
      issuer: "WardMQ issuing CA",
      serialNumber: bound.serialNumber,
      fingerprint: bound.fingerprint,
    },
    details: { actor: doing.actor },
  });
  return {
    certificateChain: certificatePem(issued) + certificatePem(issuer.certificate),
    trustAnchors: roots.join(""),
    certificate: { ...bound, state: "active" },
  };
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex").toUpperCase(); // as OpenSSL prints serial numbers

function parseCertificateRequest(text: string) {
  try {
    return decodeCertificateRequest(decodePem("CERTIFICATE REQUEST", text));
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    throw new Failure(
      "ERR_CERTIFICATE_REQUEST",
      `the certificate request is refused: ${error.message}`,
      {
        hint: "make a PKCS#10 request in PEM with a P-256, P-384 or Ed25519 key",
      },
    );
  }
}

function subjectIdOf(text: string): string {
  const [, kind, id = ""] = /^(device|service):(.*)$/s.exec(text) ?? [];
  const known =
    kind === "device" ? isUuid(id) : kind === "service" && /^[A-Za-z0-9_-]{1,64}$/.test(id);
  if (known) return text;
  throw new Failure("ERR_SUBJECT", `"${printable(text, 80)}" names no device or service`, {
    hint: "write device:UUID or service:NAME",
  });
}

function attributeOf(what: string, text: string): string {
  try {
    return parseAttribute(text);
  } catch {
    throw new Failure(
      "ERR_ATTRIBUTE",
      `${what}: "${printable(text, 80)}" has characters outside A-Z a-z 0-9 _ -`,
      {
        hint: "use 1 to 64 of them",
      },
    );
  }
}

function summaryOf({ id, kind, state, attributes, certificates }: SubjectRecord): SubjectSummary {
  return { id, kind, state, attributes, certificates };
}
