import type { IncomingMessage } from "node:http";
import type { ControlListenerName, SecurityEvent } from "@wardmq/events";
import type { Refusal } from "@wardmq/tls";
import { decodePems } from "@wardmq/x509";
import { api } from "./api/api.ts";
import { identifyOperator } from "./api/operator-certificate.ts";
import type { OperatorTokens } from "./api/operator-token.ts";
import type { PublicRequest, PublicResponse } from "./ca/public-objects.ts";
import { execute } from "./commands/execute.ts";
import type { Caller, Surroundings } from "./commands/handler.ts";
import type { OperatorFiles } from "./deployment.ts";
import { Door } from "./door/door.ts";
import { heldBy } from "./door/holder.ts";
import { OwnCertificate } from "./door/own-certificate.ts";
import { RequestRate } from "./door/request-rate.ts";
import { type Requester, Requesters } from "./door/requester.ts";
import { est } from "./est/est.ts";
import { Failure } from "./failure.ts";
import type { BackChannelLogout } from "./tokens/back-channel-logout.ts";

export interface HttpsParts {
  readonly on: Surroundings;
  readonly operatorTokens: OperatorTokens;
  readonly logout: BackChannelLogout;
  /** CRLs, certificates of CAs and OCSP responses, for anybody. */
  readonly publicObject: (request: PublicRequest) => Promise<PublicResponse>;
  /** As they are now. */
  readonly files: () => Pick<OperatorFiles, "settings" | "controlListeners">;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly report: (line: string) => void;
  readonly now: () => number;
}

/** Control's listeners, serving. */
export interface Https {
  /** ADDRESS:PORT of each. */
  readonly addresses: Readonly<Record<ControlListenerName, string>>;
  /** Takes up new hosts, CAs and manufacturers, and issues the certificate again when it is time. */
  renew(): Promise<void>;
  close(): void;
}

/** Wrong codes in a minute; behind one address there may be many devices. */
const attempts = { ofDevice: 10, ofAddress: 100 } as const;

/** Opens the listeners of EST and of the API. */
export async function openHttps(parts: HttpsParts): Promise<Https> {
  const { on, operatorTokens, logout, files, publicObject, record, report, now } = parts;
  const own = new OwnCertificate();
  await own.renew(on.authority(), files().settings.hosts, now());
  const requesters = new Requesters();
  const monotonic = () => performance.now();

  const door = new Door(
    {
      hosts: () => files().settings.hosts,
      limits: () => files().settings.limits,
      credentials: () => own.credentials,
      record,
      requesters,
      monotonic,
    },
    {
      api: {
        tls: () => files().settings.tls,
        trustAnchors: () => on.authority().trustAnchors,
        clientCertificate: () =>
          operatorTokens.areTaken || logout.isOpen ? "optional" : "required",
        refuse: (certificate) => {
          const found = identifyOperator(on.registry, certificate);
          return "check" in found ? found : undefined;
        },
        handler: await api({
          callerOf: (request) => operatorOf(request, requesters.of(request), parts),
          areTokensTaken: () => operatorTokens.areTaken,
          logOut: (token, request) => logout.take(token, requesters.of(request).address),
          execute: (request, caller) => execute(on, request, caller),
          answers: on.pending.answers,
          record,
          report,
        }),
      },
      est: {
        tls: () => ({
          profile: files().settings.tls.profile,
          minVersion: files().controlListeners.est.minVersion,
        }),
        trustAnchors: () => [...on.authority().trustAnchors, ...on.manufacturers.trustAnchors()],
        clientCertificate: () => "optional",
        refuse: (certificate) => {
          if (on.manufacturers.makerOf(certificate) !== undefined) return undefined;
          const found = heldBy(on.registry, certificate);
          return "check" in found ? found : undefined;
        },
        handler: est({
          requesters,
          registry: on.registry,
          issuance: on.issuance,
          codes: on.pending.codes,
          manufacturers: on.manufacturers,
          attempts: {
            ofDevice: new RequestRate(attempts.ofDevice / 60, attempts.ofDevice, monotonic),
            ofAddress: new RequestRate(attempts.ofAddress / 60, attempts.ofAddress, monotonic),
          },
          caCertificates: () => {
            const { roots, trustAnchors } = on.authority();
            return [...trustAnchors, ...roots].flatMap((pem) => decodePems("CERTIFICATE", pem));
          },
          publicObject,
          record,
          report,
          now,
        }),
      },
    },
  );
  const { controlListeners } = files();
  return {
    addresses: {
      est: await door.listen("est", controlListeners.est),
      api: await door.listen("api", controlListeners.api),
    },
    renew: async () => {
      await own.renew(on.authority(), files().settings.hosts, now());
      door.renewContexts();
    },
    close: () => door.close(),
  };
}

/** Whose token came, or whose certificate: the door let that in, and meanwhile it may have been revoked or have run out. */
async function operatorOf(
  { headers }: IncomingMessage,
  requester: Requester,
  { on, operatorTokens, record, now }: HttpsParts,
): Promise<Caller> {
  const at = now();
  const token = bearerToken(headers.authorization);
  const found =
    token === undefined
      ? identifyByCertificate(on, requester, at)
      : await operatorTokens.identify({ token, ...requester });
  if (!("check" in found)) return { ...found, at };
  const { address } = requester;
  record({ type: "request-refused", listener: "api", subject: "nobody", address, ...found });
  // Which check a token failed is for the events: whoever tries tokens hears that one was refused.
  const why = token === undefined ? found.why : "the token was refused";
  throw new Failure("ERR_UNAUTHENTICATED", why, {
    hint: "come with a certificate or a token that is good",
  });
}

function identifyByCertificate(
  { registry }: Surroundings,
  { certificate }: Requester,
  at: number,
): Omit<Caller, "at"> | Refusal {
  if (certificate === undefined) {
    return { check: "credential", why: "the caller has neither a certificate nor a token" };
  }
  const found = identifyOperator(registry, certificate);
  if ("check" in found || Date.parse(certificate.validTo) > at) return found;
  return { check: "certificate-active", why: "the certificate has expired" };
}

/** RFC 6750 section 2.1; what is of another form is a token that is refused. */
function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined;
  return /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1] ?? "";
}
