import type { CallerRole, CommandTable, Frozen } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import type { Ended, Rekeyed, ServerCertificate } from "@wardmq/feed";
import type {
  Claims,
  Grant,
  Introspected,
  Issuer,
  IssuerSettings,
  RoleMapping,
} from "@wardmq/tokens";
import type { z } from "zod";
import type { Authority } from "../ca/authority.ts";
import type { FleetRotation } from "../ca/fleet-rotation.ts";
import type { Issuance } from "../ca/issuance.ts";
import type { RevocationLists } from "../ca/revocation-lists.ts";
import type { RevokedCas } from "../ca/revoked-cas.ts";
import type { ServerCertificates } from "../ca/server-certificates.ts";
import type { Manufacturers } from "../est/manufacturers.ts";
import type { BrokerBans } from "../feed/publisher.ts";
import type { StateFile } from "../files.ts";
import type { ForeignCas } from "../foreign/foreign-cas.ts";
import type { Pending } from "../pending/pending.ts";
import type { Policies } from "../policy/policies.ts";
import type { PolicyTrial } from "../policy/policy-trial.ts";
import type { RuleUsage } from "../policy/rule-usage.ts";
import type { Doing, Registry } from "../registry/registry.ts";
import type { RegistryChange } from "../registry/rows.ts";
import type { ClaimedFailure } from "../tokens/claimed-failures.ts";
import type { ApiIssuers } from "../tokens/issuers.ts";
import type { TokenRevocations } from "../tokens/token-revocations.ts";

/** How brokers hear of a change, and what they did about it. */
export interface Publisher {
  /** Sends the change to every broker; the result settles when all have applied it, or after a second. */
  publish(change: RegistryChange): () => Promise<Publication>;
}

export interface Publication {
  readonly answers: readonly BrokerAnswer[];
  /** Brokers that were connected and did not answer in time, or refused. */
  readonly unconfirmed: number;
}

/** What is known of access tokens. */
export interface TokenWorld {
  readonly issuers: () => readonly Issuer[];
  /** Which claims give which roles: the policy's. */
  readonly mapping: () => readonly RoleMapping[];
  /** Issuers and mapping as the API has them. */
  readonly ofApi: () => ApiIssuers;
  /** What issuers.yaml says of one. */
  readonly settingsOf: (issuer: string) => IssuerSettings | undefined;
  /** What the issuer says of an opaque token. */
  readonly introspect: (token: string) => Promise<Introspected | undefined>;
  /** Milliseconds since 1970, never set back: the time that tokens end by. */
  readonly now: () => number;
  readonly revocations: TokenRevocations;
  /** What the API and each broker have banned at this moment. */
  readonly bans: () => Promise<BrokerBans>;
  readonly claimed: () => readonly ClaimedFailure[];
  /** Has brokers and the API judge tokens from there again. */
  readonly liftBan: (of: string) => void;
}

/** The certificates that brokers show to who connects. */
export interface Servers {
  /** Those that control has signed. */
  readonly issued: ServerCertificates;
  /** Of each broker that is connected. */
  readonly shown: () => readonly ServerCertificate[];
  /** Has each broker make a new key and get a certificate for it; tells why not, a sentence for each that failed. */
  readonly renew: () => Promise<readonly string[]>;
}

/** What a broker ended, how long that took it, and how long after the change its answer came. */
export interface BrokerAnswer extends Ended {
  readonly milliseconds: number;
  readonly confirmedMs: number;
}

/** What the commands act on; main joins it. */
export interface Surroundings {
  readonly registry: Registry;
  /** The CA, opened when a certificate is wanted: revoking works without it. */
  readonly authority: () => Authority;
  readonly issuance: Issuance;
  readonly servers: Servers;
  readonly lists: RevocationLists;
  readonly revokedCas: RevokedCas;
  /** The steps that rotations are at. */
  readonly rotations: StateFile;
  readonly fleet: FleetRotation;
  readonly publisher: Publisher;
  readonly tokens: TokenWorld;
  readonly pending: Pending;
  readonly manufacturers: Manufacturers;
  readonly foreignCas: ForeignCas;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly reload: (doing: Doing) => Promise<readonly string[]>;
  readonly lastEvents: (count: number) => readonly unknown[];
  /** Seals everything of control anew under a new key, and destroys the former ones. */
  readonly rekey: (doing: Doing) => Promise<Rekeyed>;
  /** Of each broker that is there; `undefined` where it did not confirm. */
  readonly rekeyBrokers: () => Promise<readonly (Rekeyed | undefined)[]>;
  readonly policies: Policies;
  /** The organisations that the policy in force is for. */
  readonly tenants: () => readonly { readonly name: string }[];
  /** Something was taken for an emergency, or ended. */
  readonly breakGlassChanged: () => void;
  readonly trial: PolicyTrial;
  readonly usage: RuleUsage;
}

/** Who gives a command, and when. */
export interface Caller extends Doing {
  readonly role: CallerRole;
  /** Who gave the command, where the caller has approved it. */
  readonly requestedBy?: string;
  /** What the caller came with, where that was a token. */
  readonly token?: CallersToken;
}

/** A token that was found good; it itself is kept nowhere. */
export interface CallersToken {
  readonly grant: Grant;
  readonly claims: Claims;
  /** Tells it apart in events. */
  readonly hash: string;
}

type Result<Row extends CommandTable[string]> = Frozen<z.infer<Row["result"]>>;

/** What every command of a table does: one that is missing, or that gives another result, does not compile. */
export type HandlersOf<Table extends CommandTable> = {
  readonly [Name in keyof Table]: (
    on: Surroundings,
    wanted: Frozen<z.infer<Table[Name]["arguments"]>>,
    caller: Caller,
  ) => Promise<Result<Table[Name]>> | Result<Table[Name]>;
};
