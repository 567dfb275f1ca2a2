import { existsSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { CommandResponse } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import type { SubjectRecord, World } from "@wardmq/feed";
import { readPrivateText } from "@wardmq/keys";
import { enforcedPart, loadPolicy, type Policy, tokenRoles } from "@wardmq/policy";
import { TokenClock } from "@wardmq/tokens";
import { OperatorTokens } from "./api/operator-token.ts";
import { type Authority, openAuthority } from "./ca/authority.ts";
import { caIdOf, isIssuedBy } from "./ca/certificate-authority.ts";
import { FleetRotation } from "./ca/fleet-rotation.ts";
import { Issuance } from "./ca/issuance.ts";
import { OcspResponder } from "./ca/ocsp-responder.ts";
import { day } from "./ca/pem-file.ts";
import { type PublicObjects, publicObject } from "./ca/public-objects.ts";
import { RevocationLists } from "./ca/revocation-lists.ts";
import { RevokedCas } from "./ca/revoked-cas.ts";
import { settleRotations } from "./ca/rotations.ts";
import { signForBroker } from "./ca/server-certificate.ts";
import { ServerCertificates } from "./ca/server-certificates.ts";
import { execute } from "./commands/execute.ts";
import type { Surroundings } from "./commands/handler.ts";
import { parseRequest } from "./commands/requests.ts";
import { revokeTokens } from "./commands/tokens.ts";
import { paths, readOperatorFiles } from "./deployment.ts";
import { RequestRate } from "./door/request-rate.ts";
import { type Manufacturers, openManufacturers } from "./est/manufacturers.ts";
import { parseBrokerEvent } from "./events/broker-event.ts";
import { responseOf } from "./failure.ts";
import { Anchor } from "./feed/anchor.ts";
import { BrokerStore } from "./feed/broker-store.ts";
import { openFeedKeys } from "./feed/feed-signer.ts";
import { type BrokerBans, FeedPublisher } from "./feed/publisher.ts";
import { readText, stateFile } from "./files.ts";
import { ForeignCas } from "./foreign/foreign-cas.ts";
import { type Https, openHttps } from "./https.ts";
import { BreakGlassWatch } from "./pending/break-glass-watch.ts";
import { withTaken } from "./policy/break-glass-grants.ts";
import { Policies } from "./policy/policies.ts";
import { digestOf, readPolicyFiles, writePolicyFiles } from "./policy/policy-files.ts";
import { PolicyTrial } from "./policy/policy-trial.ts";
import { PolicyVersions } from "./policy/policy-versions.ts";
import { RuleUsage } from "./policy/rule-usage.ts";
import type { Registry } from "./registry/registry.ts";
import { type RegisteredSubject, type RegistryChange, recordForBrokers } from "./registry/rows.ts";
import { reload, type Sources } from "./reload.ts";
import { openSealedState, type SealedState } from "./sealed-state.ts";
import { BackChannelLogout } from "./tokens/back-channel-logout.ts";
import { ClaimedFailures } from "./tokens/claimed-failures.ts";
import { askHttps, IssuerUnavailable } from "./tokens/https-text.ts";
import { Introspection } from "./tokens/introspection.ts";
import { Issuers } from "./tokens/issuers.ts";
import { TokenRevocations } from "./tokens/token-revocations.ts";

export interface ControlOptions {
  /** `KEY=VALUE`, before what wardmq.yaml says. */
  readonly overrides: readonly string[];
  readonly report: (line: string) => void;
  readonly now: () => number;
}

/** Of all brokers: one that was taken over can not have control sign without end. */
const serverCertificatesPerHour = 60;

/** The parts of a control that serves, joined. Whoever opens one holds the deployment's lock. */
export class Control {
  readonly #options: ControlOptions;
  readonly #state: SealedState;
  readonly #registry: Registry;
  readonly #publisher: FeedPublisher;
  readonly #issuance: Issuance;
  readonly #brokerStore: BrokerStore;
  readonly #anchor: Anchor;
  readonly #lists: RevocationLists;
  readonly #revokedCas: RevokedCas;
  readonly #fleet: FleetRotation;
  readonly #public: PublicObjects;
  readonly #issuers: Issuers;
  readonly #introspection: Introspection;
  readonly #tokenClock: TokenClock;
  readonly #operatorTokens: OperatorTokens;
  readonly #breakGlass: BreakGlassWatch;
  readonly #revocations: TokenRevocations;
  readonly #claimed: ClaimedFailures;
  readonly #versions: PolicyVersions;
  readonly #trial: PolicyTrial;
  readonly #usage: RuleUsage;
  readonly #manufacturers: Manufacturers;
  readonly #foreignCas: ForeignCas;
  readonly #servers = new ServerCertificates(paths.serverCertificates);
  readonly #serverRate = new RequestRate(
    serverCertificatesPerHour / 3600,
    serverCertificatesPerHour,
    () => performance.now(),
  );
  #sources: Sources;
  #https: Https | undefined;
  /** One reload after the other. */
  #lastReload: Promise<unknown> = Promise.resolve();
  /** One rekeying after the other: each destroys the key that the one before it made. */
  #lastRekey: Promise<unknown> = Promise.resolve();

  /** Opens a deployment in the current folder after checking that its parts are whole and fit each other. */
  static async open(options: ControlOptions): Promise<Control> {
    const { report, now } = options;
    const state = openSealedState({ now, report, tell: report });
    try {
      if (existsSync(paths.rootKey)) readPrivateText(paths.rootKey); // it may lie elsewhere, but not open to others
      settleRotations(state.files.rotations);
      const sources = readSources(options, state);
      const control = new Control(options, state, sources);
      warnOfEnd(sources.authority, options);
      control.publishRevocationLists();
      return control;
    } catch (error) {
      state.close();
      throw error;
    }
  }

  private constructor(options: ControlOptions, state: SealedState, sources: Sources) {
    const { report, now } = options;
    const { registry, files } = state;
    this.#options = options;
    this.#state = state;
    this.#registry = registry;
    this.#sources = sources;
    this.#manufacturers = openManufacturers({
      folder: paths.manufacturers,
      now,
      record: (event) => this.#record(event),
      changed: () => this.renewHttps(),
    });
    this.#publisher = new FeedPublisher({
      world: () => this.#world(),
      sign: (bytes) => this.#sources.feed.signer.sign(bytes),
      now,
      state: () => registry.position,
      onState: (state) => {
        if (!registry.hasBeenAt(state)) this.#record({ type: "control-rolled-back" });
      },
      onStored: (position) => {
        this.#brokerStore.hear(position);
        this.keepAnchor();
      },
      onEvents: (events) => {
        const known = events.map(parseBrokerEvent).filter((event) => event !== undefined);
        state.events.append(known);
        this.#claimed.hear(known);
      },
      onKeyMissing: (issuer) => this.#issuers.keyIsMissing(issuer),
      onIntrospect: (token) => this.#introspection.of(token),
      onUsed: (fingerprint) => this.#certificateUsed(fingerprint),
      onForeign: (certificate) => this.#foreignCas.adopt(certificate),
      onRulesUsed: (ruleIds) => this.#usage.used(ruleIds),
      onShadowCounts: (counts) => this.#trial.hear(counts),
      onCertificateRequest: (request) => this.#signForBroker(request),
      report,
    });
    this.#foreignCas = new ForeignCas({
      folder: paths.foreignCas,
      registry,
      authority: () => this.#sources.authority,
      now,
      record: (event) => this.#record(event),
      changed: (change) => void this.#publish(change),
    });
    const signing = () => this.#sources.authority.signing;
    this.#lists = new RevocationLists({
      issuers: signing,
      registry,
      now,
      failed: (error) => this.#failed(error),
    });
    this.#revokedCas = new RevokedCas(files.revokedCas);
    this.#fleet = new FleetRotation({
      registry,
      file: files.fleet,
      steps: files.rotations,
      lists: this.#lists,
      revokedCas: this.#revokedCas,
      publish: (change) => void this.#publish(change),
      reload: ({ actor }) => this.reload(actor),
      now,
    });
    this.#issuance = new Issuance({
      registry,
      authority: () => this.#sources.authority,
      servers: this.#servers,
      publisher: { publish: (change) => this.#publish(change) },
      record: (event) => this.#record(event),
    });
    this.#public = {
      lists: this.#lists,
      cas: () => this.#sources.authority.issuers,
      responder: new OcspResponder({
        issuers: signing,
        registry,
        isOwnCertificate: (caId, serialNumber) => this.#isOfBroker(caId, serialNumber),
        now,
      }),
    };
    this.#claimed = new ClaimedFailures(now);
    const record = (event: Omit<SecurityEvent, "at">) => this.#record(event);
    const { deployment } = state;
    this.#anchor = new Anchor({ path: sources.anchor, deployment, registry, record });
    this.#brokerStore = new BrokerStore(files.brokerStore, record, this.#anchor.store);
    this.#tokenClock = new TokenClock(now, () => performance.now());
    this.#revocations = new TokenRevocations({
      now: this.#tokenClock.now,
      file: files.tokenRevocations,
    });
    this.#issuers = new Issuers({
      ask: askHttps,
      now: this.#tokenClock.now,
      readFile: ofIssuer(readText),
      record: (event) => this.#record(event),
      changed: () => void this.#publish({ issuers: this.#issuers.list() }),
      cache: stateFile(paths.issuerKeys),
      failed: (error) => this.#failed(error),
    });
    this.#issuers.use(sources.issuers);
    this.#introspection = new Introspection({
      ask: askHttps,
      issuer: () => this.#issuers.asked,
      now: this.#tokenClock.now,
      readFile: ofIssuer(readText),
      readSecret: ofIssuer(readPrivateText),
      record: (event) => this.#record(event),
    });
    this.#operatorTokens = new OperatorTokens({
      registry,
      judges: () => this.#issuers.ofApi(),
      revocations: () => this.#revocations.list(),
      taken: (person) =>
        this.#state.pending.breakGlass
          .active(this.#tokenClock.now())
          .filter((use) => use.person === person),
      introspect: (token) => this.#introspection.of(token),
      now: this.#tokenClock.now,
      record: (event) => this.#record(event),
      delay,
    });
    this.#breakGlass = new BreakGlassWatch({
      uses: this.#state.pending.breakGlass,
      now: this.#tokenClock.now,
      record: (event) => this.#record(event),
      publish: () => void this.#publish({ policy: this.#policyForBrokers(this.#sources.policy) }),
    });
    this.#versions = new PolicyVersions(files.policies, sources.feed.signer, sources.feed.former);
    this.#versions.record(sources.policyFiles, "start", { actor: "control", at: now() });
    this.#usage = new RuleUsage({ file: files.ruleUsage, now });
    this.#usage.follow(sources.policy);
    this.#trial = new PolicyTrial({
      file: files.policyTrial,
      now,
      load: (text) => loadPolicy(text, this.#sources.settings),
      inForce: () => this.#sources.policy,
      publish: (change) => void this.#publish(change),
      record: (event) => this.#record(event),
    });
  }

  /** Has the anchor say where the state stands, if there is one. */
  keepAnchor(): void {
    this.#anchor.keep(this.#brokerStore.known);
  }

  /** Publishes the CRLs of all CAs that sign; that it can not is a line for a person. */
  publishRevocationLists(): void {
    this.#lists.publish().catch((error: unknown) => this.#failed(error));
  }

  /** Takes a rotation of the fleet further, if there is one. */
  continueFleetRotation(): Promise<void> {
    return this.#fleet.tick().catch((error: unknown) => this.#failed(error));
  }

  /** Opens the listeners of EST and of the API; gives their addresses. */
  async listen(): Promise<Https["addresses"]> {
    this.#https = await openHttps({
      on: this.#surroundings(),
      operatorTokens: this.#operatorTokens,
      logout: new BackChannelLogout({
        issuers: () => this.#issuers.ofLogout(),
        now: this.#tokenClock.now,
        revoke: (revoked, issued) =>
          revokeTokens(this.#surroundings(), revoked, { actor: "issuer" }, issued),
        record: (event) => this.#record(event),
      }),
      publicObject: (request) => publicObject(this.#public, request),
      files: () => this.#sources,
      record: (event) => this.#record(event),
      report: this.#options.report,
      now: this.#options.now,
    });
    return this.#https.addresses;
  }

  /** Takes the connection of a broker. */
  acceptBroker(socket: Socket): void {
    this.#publisher.accept(socket);
  }

  /** The response to a line of a tool. */
  async answer(line: string, actor: string): Promise<CommandResponse> {
    try {
      const caller = { actor, role: "local", at: this.#options.now() } as const;
      return { ok: true, result: await execute(this.#surroundings(), parseRequest(line), caller) };
    } catch (error) {
      return this.refuse(error);
    }
  }

  refuse(error: unknown): CommandResponse & { ok: false } {
    return responseOf(error, this.#options.report);
  }

  /** Reads wardmq.yaml, policy.yaml and the certificates of the CA again; gives the names of what changed. */
  reload(actor: string, reason = "reload"): Promise<readonly string[]> {
    const reloaded = this.#lastReload.then(() =>
      reload(this.#sources, actor, {
        read: async () => readSources(this.#options, this.#state),
        record: (event) => this.#record(event),
        forBrokers: (policy) => this.#policyForBrokers(policy),
        apply: (sources, change) => {
          this.#sources = sources;
          this.#issuers.use(sources.issuers);
          const doing = { actor, at: this.#options.now() };
          this.#versions.record(sources.policyFiles, reason, doing);
          if (change.policy !== undefined) this.#usage.follow(sources.policy);
          this.#registry.recordChange("files.reload", doing);
          if (Object.keys(change).length > 0) this.#publish(change);
          if (change.policy !== undefined) this.#trial.inForce(digestOf(sources.policyFiles));
          this.renewHttps();
        },
      }),
    );
    this.#lastReload = reloaded.catch(() => {});
    return reloaded;
  }

  /** Issues the certificate of control's own listeners again when it is time; that it can not is a line for a person. */
  renewHttps(): void {
    this.#https?.renew().catch((error: unknown) => this.#failed(error));
  }

  /** Ends what devices have changed over from: called every hour. */
  endChangeOvers(): void {
    const subjects = this.#registry.endChangeOvers({ actor: "control", at: this.#options.now() });
    if (subjects.length > 0) this.#publish({ subjects });
  }

  /** A broker saw a device connect with the newer of its certificates: the older one ends. */
  #certificateUsed(fingerprint: string): void {
    const doing = { actor: "control", at: this.#options.now() };
    const changed = this.#registry.certificateUsed(fingerprint, doing);
    if (changed !== undefined) this.#publish({ subjects: [changed] });
  }

  /** Reads the CRLs of other CAs that are due: called every few seconds. */
  lookAtForeignCrls(): void {
    for (const crls of [this.#foreignCas, this.#manufacturers]) {
      crls.look().catch((error: unknown) => this.#failed(error));
    }
  }

  #failed(error: unknown): void {
    this.#options.report(this.refuse(error).error.message);
  }

  close(): void {
    this.keepAnchor();
    this.#breakGlass.close();
    this.#lists.close();
    this.#issuers.close();
    this.#publisher.close();
    this.#usage.close();
    this.#trial.close();
    this.#state.close();
  }

  #surroundings(): Surroundings {
    return {
      registry: this.#registry,
      authority: () => this.#sources.authority,
      issuance: this.#issuance,
      servers: {
        issued: this.#servers,
        shown: () => this.#publisher.serverCertificates(),
        renew: () => this.#publisher.renewServerCertificates(),
      },
      lists: this.#lists,
      revokedCas: this.#revokedCas,
      rotations: this.#state.files.rotations,
      fleet: this.#fleet,
      publisher: { publish: (change) => this.#publish(change) },
      tokens: {
        issuers: () => this.#issuers.list(),
        mapping: () => tokenRoles(this.#sources.policy),
        ofApi: () => this.#issuers.ofApi(),
        settingsOf: (name) => this.#issuers.settingsOf(name),
        introspect: (token) => this.#introspection.of(token),
        now: this.#tokenClock.now,
        revocations: this.#revocations,
        bans: () => this.#bans(),
        claimed: () => this.#claimed.list(),
        liftBan: (of) => this.#liftBan(of),
      },
      pending: this.#state.pending,
      manufacturers: this.#manufacturers,
      foreignCas: this.#foreignCas,
      record: (event) => this.#record(event),
      reload: ({ actor }) => this.reload(actor),
      lastEvents: (count) => this.#state.events.last(count),
      rekey: (doing) => {
        const rekeyed = this.#lastRekey.then(() => this.#state.rekey(doing));
        this.#lastRekey = rekeyed.catch(() => {});
        return rekeyed;
      },
      rekeyBrokers: () => this.#publisher.rekey(),
      tenants: () => this.#sources.policy.tenants,
      breakGlassChanged: () => this.#breakGlass.changed(),
      trial: this.#trial,
      usage: this.#usage,
      policies: new Policies({
        store: this.#versions,
        readFiles: readPolicyFiles,
        writeFiles: writePolicyFiles,
        takeOver: ({ actor }, reason) => this.reload(actor, reason),
      }),
    };
  }

  /** The answer to a broker's request for a certificate of its own. */
  async #signForBroker(request: Uint8Array) {
    const on = {
      registry: this.#registry,
      authority: () => this.#sources.authority,
      servers: this.#servers,
      hosts: () => this.#sources.settings.hosts,
      isAllowed: () => this.#serverRate.take("brokers") === "ok",
      record: (event: Omit<SecurityEvent, "at">) => this.#record(event),
    };
    const doing = { actor: "broker", at: this.#options.now() };
    try {
      return { certificate: await signForBroker(on, request, doing) };
    } catch (error) {
      return { why: this.refuse(error).error.message };
    }
  }

  /** Whether a CA has signed a certificate of this serial number for a broker. */
  #isOfBroker(caId: string, serialNumber: string): boolean {
    const found = this.#servers.find(serialNumber);
    const ca = this.#sources.authority.issuers.find((one) => caIdOf(one) === caId);
    return found !== undefined && ca !== undefined && isIssuedBy(found, ca);
  }

  #world(): World {
    const { settings, policy, authority } = this.#sources;
    const subjects = this.#forBrokers(this.#registry.subjects());
    const shadow = this.#trial.forBrokers();
    return {
      ...(shadow === undefined ? {} : { shadow }),
      settings,
      policy: this.#policyForBrokers(policy),
      trustAnchors: authority.trustAnchors,
      foreignCas: this.#foreignCas.told(),
      feedKeys: this.#sources.feed.keys,
      lifecycle: this.#fleet.notices(),
      issuers: this.#issuers.list(),
      revokedTokens: this.#revocations.list(),
      subjects,
    };
  }

  #publish({ subjects, ...change }: RegistryChange): ReturnType<FeedPublisher["publish"]> {
    const hasEnded = ({ certificates }: RegisteredSubject) =>
      certificates.some(({ state }) => state !== "active");
    const isNewCa = change.trustAnchors !== undefined; // whose certificates nobody can check before its first CRL
    if (isNewCa || subjects?.some(hasEnded) === true) this.#lists.changed();
    return this.#publisher.publish(
      subjects === undefined ? change : { ...change, subjects: this.#forBrokers(subjects) },
    );
  }

  /** What brokers need to know: no operators, and no certificate that the door refuses by its dates. */
  #forBrokers(subjects: readonly RegisteredSubject[]): readonly SubjectRecord[] {
    const now = this.#options.now();
    return subjects.flatMap((subject) =>
      recordForBrokers(subject).map((record) => ({
        ...this.#foreignCas.recordForBrokers(record, subject),
        certificates: record.certificates.filter(({ notAfter }) => notAfter >= now),
      })),
    );
  }

  #policyForBrokers(policy: Policy): Policy {
    const { breakGlass } = this.#state.pending;
    return withTaken(enforcedPart(policy), breakGlass.active(this.#tokenClock.now()));
  }

  async #bans(): Promise<BrokerBans> {
    const { bans, ...brokers } = await this.#publisher.bans();
    return { bans: [...bans, ...this.#operatorTokens.attempts.bans()], ...brokers };
  }

  #liftBan(of: string): void {
    this.#operatorTokens.attempts.lift(of);
    this.#publisher.liftBan(of, this.#tokenClock.now());
  }

  #record(event: Omit<SecurityEvent, "at">): void {
    const recorded = { ...event, at: this.#options.now() };
    this.#state.events.append([recorded]);
    this.#claimed.hear([recorded]);
  }
}

function readSources(
  { overrides, now }: ControlOptions,
  { registry, files: kept }: SealedState,
): Sources {
  const files = readOperatorFiles(overrides, registry.identity);
  const authority = openAuthority(now(), files.published);
  return { authority, feed: openFeedKeys(kept.rotations), ...files };
}

/** That a file of an issuer can not be read is like an issuer that can not be asked: others go on. */
function ofIssuer(read: (path: string) => string): (path: string) => string {
  return (path) => {
    try {
      return read(path);
    } catch (error) {
      throw new IssuerUnavailable(error instanceof Error ? error.message : "unreadable");
    }
  };
}

const warnMs = 90 * 24 * 60 * 60 * 1000;

/** A certificate never outlives its CA: from here on they get shorter and shorter. */
function warnOfEnd({ issuer }: Authority, { now, report }: ControlOptions): void {
  const { notAfter } = issuer.certificate.validity;
  if (notAfter - now() < warnMs)
    report(`${paths.issuingCertificate} ends on ${day(notAfter)}, and all it has signed`);
}
