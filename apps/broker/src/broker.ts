import { randomUUID } from "node:crypto";
import { type ListenerName, listenerNames, printable, type SecurityEvent } from "@wardmq/events";
import type {
  BanSummary,
  BrokerMessage,
  BrokerSettings,
  Ended,
  FeedBody,
  FeedNews,
  LifecycleNotice,
  ShadowPolicy,
  StorePosition,
  SubjectRecord,
  WorldChange,
} from "@wardmq/feed";
import { type CompiledPolicy, compilePolicy, type Policy } from "@wardmq/policy/compile";
import type { Credentials } from "@wardmq/tls";
import {
  AttemptCounter,
  type Introspected,
  type Issuer,
  type RoleMapping,
  TokenClock,
} from "@wardmq/tokens/verify";
import { Connection } from "./connection/connection.ts";
import { Connections } from "./connection/connections.ts";
import { type ConnectionContext, refuseCertificate } from "./connection/context.ts";
import { MemoryBudget } from "./connection/memory-budget.ts";
import { Flusher } from "./connection/output.ts";
import { Rounds } from "./connection/rounds.ts";
import { TimingWheel } from "./connection/timing-wheel.ts";
import { keysOf } from "./connection/token.ts";
import { Door } from "./door/door.ts";
import { ForeignCas, readForeignCas } from "./door/foreign-cas.ts";
import { CredentialFault } from "./door/server-files.ts";
import { Enforcement } from "./enforcement/enforcement.ts";
import { GrantClock } from "./enforcement/grant-clock.ts";
import { OpenCommands } from "./enforcement/open-commands.ts";
import { RecordTable } from "./enforcement/record-table.ts";
import { ShadowTrial } from "./enforcement/shadow-trial.ts";
import { type SubjectState, Subjects } from "./enforcement/subjects.ts";
import { Freshness } from "./feed/freshness.ts";
import { lifecycleMessage } from "./routing/lifecycle.ts";
import { RetainedMessages } from "./routing/retained-messages.ts";
import { Router } from "./routing/router.ts";
import { SessionTable } from "./session/session-table.ts";
import { Sessions } from "./session/sessions.ts";
import { FeedLines } from "./store/feed-lines.ts";
import { Journal } from "./store/journal.ts";
import type { JournalStore, StoreReport } from "./store/journal-store.ts";
import { MessageRestorer } from "./store/message-restorer.ts";
import { Found } from "./store/replay.ts";
import { TokenJudge } from "./tokens/token-judge.ts";
import { TokenSubjects, withdrawGrant } from "./tokens/token-subjects.ts";

export interface BrokerParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly failed: (error: unknown) => void;
  /** A device came with the newer of two certificates. */
  readonly certificateUsed: (fingerprint: string) => void;
  /** A device came with a certificate (DER) of a foreign CA that is not bound to its record yet. */
  readonly foreignUsed: (certificate: Uint8Array) => void;
  /** A line for a person. */
  readonly report: (line: string) => void;
  /** Takes the keys that may sign the feed from now on, PEM; throws, and changes nothing, if one is none. */
  readonly useFeedKeys: (keys: readonly string[]) => void;
  /** Where what has to outlive the process is kept. */
  readonly store: JournalStore;
  /** Reads the server's key and certificate; throws a CredentialFault. */
  readonly serverFiles: (hosts: readonly string[]) => Omit<Credentials, "trustAnchors">;
  /** Control is to look for a new key of the issuer of this name. */
  readonly keyMissing?: (issuer: string) => void;
  /** What the issuer says of an opaque token; undefined where nobody can say. */
  readonly introspect?: (token: string) => Promise<Introspected | undefined>;
  /** Says something to control; false where it is away. */
  readonly tell?: (message: BrokerMessage) => boolean;
}

const rememberedTopics = 200_000;
const rememberedBytes = 64 * 1024 * 1024;
/** How large the store may be however little lives in it. */
const spareBytes = 64 * 1024 * 1024;
/** How often what has expired is looked for. */
const sweepMs = 30_000;
/** How often control hears which rules were used and what the policy on trial would change. */
const tellMs = 2_000;
/** What a start brings with it that finds more than a limit allows, until enough of it is delivered or has expired. */
const effectsBeyond = {
  memoryBytes: "nobody gets in but those whose sessions were kept",
  queuedBytesTotal: "one message more for a session goes for its oldest",
  storedBytes: "messages that would be stored are refused",
} as const;
const dayMs = 24 * 60 * 60 * 1000;

/** What the store held, and how long reading it took. */
interface ReadStore {
  readonly found: Found;
  readonly milliseconds: number;
}

/** The data plane: what the feed says, enforced on every connection. Accepts nobody before the first snapshot. */
export class Broker {
  readonly #parts: BrokerParts;
  readonly #wheel: TimingWheel;
  readonly #subjects = new Subjects();
  readonly #foreign: ForeignCas;
  readonly #enforcement: Enforcement;
  readonly #tokenClock: TokenClock;
  readonly #grantClock: GrantClock;
  readonly #tokens: TokenJudge;
  readonly #retained = new RetainedMessages();
  readonly #router: Router;
  readonly #sessions: Sessions;
  readonly #journal: Journal;
  readonly #budget = new MemoryBudget(0);
  readonly #connections = new Connections();
  readonly #context: ConnectionContext;
  #settings: BrokerSettings | undefined;
  #trustAnchors: readonly string[] = [];
  #issuers: readonly Issuer[] = [];
  #mapping: readonly RoleMapping[] = [];
  #door: Door | undefined;
  readonly #freshness: Freshness;
  /** Subjects of a snapshot or change whose last line has not come yet. */
  #staged = new RecordTable();
  /** What the journal has, until the feed says who may have it. */
  #found: ReadStore | undefined;
  readonly #feedLines: FeedLines;
  #incarnation: string | undefined;
  readonly #sweep: NodeJS.Timeout;
  readonly #telling: NodeJS.Timeout;
  /** The day, counted from 1970, on which every rule in use was asked last. */
  #askedDay: number;

  constructor(parts: BrokerParts) {
    this.#parts = parts;
    const { now, record } = parts;
    this.#foreign = new ForeignCas({
      subjects: this.#subjects,
      own: () => this.settings,
      now: parts.now,
    });
    this.#wheel = new TimingWheel(parts.monotonic, parts.failed);
    this.#freshness = new Freshness({
      now,
      maximumAgeSeconds: () => this.settings.feed.maximumAgeSeconds,
      record,
      report: parts.report,
    });
    this.#tokenClock = new TokenClock(now, parts.monotonic);
    this.#tokens = new TokenJudge({
      now: this.#tokenClock.now,
      failed: parts.failed,
      keyMissing: (issuer) => parts.keyMissing?.(issuer),
      introspect: async (token) => parts.introspect?.(token),
    });
    const limits = () => this.settings.limits;
    this.#enforcement = new Enforcement(
      this.#subjects,
      record,
      this.#tokenClock.now,
      new OpenCommands({ wheel: this.#wheel, budget: this.#budget, limits }),
      parts.failed,
    );
    this.#grantClock = new GrantClock(this.#wheel, this.#tokenClock.now, (policy) => {
      this.#enforcement.usePolicy(policy);
      this.#askAgain();
    });
    this.#budget.retained = this.#retained;
    this.#journal = new Journal({
      store: parts.store,
      schedule: setImmediate,
      later: (work, ms) => void setTimeout(work, ms),
      spareBytes,
      limit: () => limits().storedBytes,
      onFailing: (error) => this.#storeFailing(error),
      onRecovered: () => this.#storeRecovered(),
    });
    this.#feedLines = new FeedLines(this.#journal);
    this.#router = new Router({
      enforcement: this.#enforcement,
      journal: this.#journal,
      retained: this.#retained,
      rememberedTopics,
      rememberedBytes: () => Math.min(rememberedBytes, limits().memoryBytes / 8),
      retainedLimit: (messages, bytes) => this.#retainedLimit(messages, bytes),
      retainedSeconds: () => limits().retainedSeconds,
      now,
    });
    this.#budget.filters = this.#router.filters;
    this.#sessions = new Sessions({
      table: new SessionTable(),
      journal: this.#journal,
      wheel: this.#wheel,
      budget: this.#budget,
      router: this.#router,
      enforcement: this.#enforcement,
      limits,
      lostSubscription: () => this.settings.lostSubscription,
      now,
      monotonic: parts.monotonic,
      nextTurn: setImmediate,
      record,
      failed: parts.failed,
    });
    this.#context = {
      settings: () => this.settings,
      limits,
      wheel: this.#wheel,
      budget: this.#budget,
      flusher: new Flusher(parts.failed),
      rounds: new Rounds(parts.failed),
      enforcement: this.#enforcement,
      router: this.#router,
      sessions: this.#sessions,
      tokens: {
        judge: (question) => this.#tokens.judge(question),
        attempts: new AttemptCounter(this.#tokenClock.now),
        later: (tell, delayMs) => setTimeout(tell, delayMs).unref(),
        subjects: new TokenSubjects((subject) => this.#sessions.of(subject).length),
        now: this.#tokenClock.now,
      },
      journal: this.#journal,
      connections: this.#connections,
      now,
      randomId: randomUUID,
      record,
      failed: parts.failed,
      certificateUsed: parts.certificateUsed,
      preAuthBytes: 0,
    };
    this.#sweep = setInterval(() => this.#removeExpired(), sweepMs);
    this.#sweep.unref();
    this.#askedDay = Math.floor(now() / dayMs);
    this.#telling = setInterval(() => this.tellOfPolicy(), tellMs);
    this.#telling.unref();
  }

  /** What the feed has said; nothing runs before it has. */
  get settings(): BrokerSettings {
    if (this.#settings === undefined) throw new Error("no settings before the first snapshot");
    return this.#settings;
  }

  /** What its own certificate has to fit. */
  get serverWorld(): {
    readonly hosts: readonly string[];
    readonly trustAnchors: readonly string[];
  } {
    return { hosts: this.settings.hosts, trustAnchors: this.#trustAnchors };
  }

  /** What the broker knows of a subject. */
  subject(id: string): SubjectRecord | undefined {
    return this.#subjects.get(id)?.record;
  }

  get openSockets(): number {
    return this.#door?.openSockets ?? 0;
  }

  /**
   * Reads what the store has kept, once and before anything else. It is put in place with the first snapshot of the
   * feed, which says who may have it. Returns the lines of the feed that were kept, for a start without control; none
   * when something of the store is missing, since it may be a revocation.
   */
  async readStore(): Promise<readonly string[]> {
    const found = new Found();
    const startedAt = this.#parts.monotonic();
    const say = this.#progressOf("reading the store");
    const report = await this.#journal.read((segment, stored, progress) => {
      found.read(segment, stored);
      say(progress);
    });
    found.finish(this.#journal);
    this.#found = { found, milliseconds: this.#parts.monotonic() - startedAt };
    this.#feedLines.restore(found.feedLines);
    const { damage } = found;
    this.#incarnation = report.incarnation;
    this.#report(report);
    const isWhole = report.rolledBack === undefined && report.faults.length === 0;
    return !isWhole || damage.segments.length + damage.missing.length > 0
      ? []
      : found.feedLines.map(({ line }) => line);
  }

  /** Says how far something is, a part of 1, once a second. */
  #progressOf(what: string): (part: number) => void {
    let saidAt = this.#parts.monotonic();
    return (part) => {
      if (this.#parts.monotonic() - saidAt < 1_000) return;
      saidAt = this.#parts.monotonic();
      this.#parts.report(`${what}: ${Math.floor(part * 100)} %`);
    };
  }

  /** How far the store is; undefined while it is not open, or where it outlives nothing. */
  get storePosition(): StorePosition | undefined {
    const incarnation = this.#incarnation;
    if (incarnation === undefined) return undefined;
    return { incarnation, number: this.#journal.committed };
  }

  /** Keeps a message of the feed that was applied, as it came, for a start without control. True: a snapshot is wanted. */
  keepFeed(lines: readonly string[], type: FeedBody["type"]): boolean {
    return this.#feedLines.keep(lines, type);
  }

  /** Control is alive and said so then: revocation data is that fresh. */
  freshAt(issuedAt: number): void {
    this.#freshness.heard(issuedAt);
  }

  /** Called every second: raises the alarm when control has been away for long; ends whose CA's CRL has become too old. */
  lookAtFreshness(): void {
    if (this.#settings === undefined) return;
    this.#freshness.look();
    if (this.#foreign.becameStale()) this.#endForeign();
  }

  /** Takes a part of the subjects of the snapshot or change that comes; part 0 begins anew. */
  stage(part: number, subjects: readonly SubjectRecord[]): void {
    if (part === 0) this.#staged = new RecordTable();
    for (const subject of subjects) this.#staged.put(subject);
  }

  /**
   * Applies a message of the feed with the parts before it, whole or not at all; tells what it ended. With many sessions
   * that takes several turns of the event loop, and then it is told by a promise: what counts has changed before.
   */
  apply(body: FeedNews): Ended | Promise<Ended> {
    if (body.parts === 0) this.#staged = new RecordTable();
    const subjects = this.#staged;
    this.#staged = new RecordTable();
    for (const subject of body.subjects) subjects.put(subject);
    if (body.type === "snapshot") {
      const { lifecycle = [], shadow = null, ...world } = body.world;
      const ended = this.#applyChange({ ...world, shadow }, () =>
        this.#subjects.replaceAll(subjects),
      );
      for (const notice of lifecycle) this.#tell(notice);
      return ended;
    }
    const { lifecycle, ...change } = body.change;
    const ended = this.#applyChange(change, () => this.#put(subjects.values(), change));
    if (lifecycle !== undefined) this.#tell(lifecycle);
    return ended;
  }

  /** Opens the listeners; resolves to their addresses. */
  async listen(): Promise<Partial<Record<ListenerName, string>>> {
    const door = new Door(
      {
        settings: () => this.settings,
        subjects: this.#subjects,
        foreign: this.#foreign,
        onForeign: this.#parts.foreignUsed,
        now: this.#parts.now,
        monotonic: this.#parts.monotonic,
        isStale: () => this.#freshness.isStale,
        banOf: (address) =>
          this.#context.tokens.attempts.banOf(keysOf({ address, fingerprint: undefined })),
        record: this.#parts.record,
        onConnection: (transport, peer) => new Connection(transport, peer, this.#context),
      },
      this.#credentials(this.settings.hosts, this.#trustAnchors, this.#foreign.trustAnchors),
    );
    this.#door = door; // at once: a change may come before both listen
    const addresses: Partial<Record<ListenerName, string>> = {};
    for (const name of listenerNames) {
      const at = this.settings.listeners[name];
      if (at.accept !== "nothing") addresses[name] = await door.listen(name, at);
    }
    return addresses;
  }

  /** Reads the server's key and certificate again; throws, and changes nothing, if they are bad. */
  reloadServerFiles(): void {
    const door = this.#door;
    if (door === undefined) return;
    const { hosts } = this.settings;
    const credentials = this.#credentials(hosts, this.#trustAnchors, this.#foreign.trustAnchors);
    if (credentials.certificate === door.credentials.certificate) return;
    door.useCredentials(credentials);
    this.#parts.record({ type: "certificate-changed" });
  }

  /** Ends every connection with 0x8B, server shutting down, and accepts no more. */
  drain(): void {
    this.#door?.close();
    for (const connection of [...this.#connections]) {
      connection.disconnect(0x8b, "the server is shutting down");
    }
  }

  /** The addresses and certificates whose tokens are not judged now. */
  bans(): readonly BanSummary[] {
    return this.#context.tokens.attempts.bans();
  }

  /** Tokens of this address or certificate are judged again, unless the ban began after `at`. */
  liftBan(of: string, at: number | undefined): void {
    this.#context.tokens.attempts.lift(of, at);
  }

  /** Tells control which rules were used, and what the policy on trial would change. */
  tellOfPolicy(): void {
    const { tell } = this.#parts;
    if (tell !== undefined) this.#enforcement.watch.tell(tell);
  }

  /** Writes everything that is kept anew. */
  rewriteStore(): Promise<void> {
    return this.#journal.rewriteAll();
  }

  /** Commits what is left. */
  async close(): Promise<void> {
    void this.#tokens.close();
    clearInterval(this.#sweep);
    clearInterval(this.#telling);
    this.#wheel.close();
    await this.#journal.close();
  }

  /** Puts in place what the store has kept, under the policy of the moment. */
  #restore({ found, milliseconds }: ReadStore): void {
    const startedAt = this.#parts.monotonic();
    const messages = new MessageRestorer(
      found,
      this.#journal,
      this.#router,
      this.#subjects,
      (grant) => this.#tokens.isRevoked(grant),
    );
    messages.retained(this.#parts.now());
    const { sessions, owed, lost } = this.#sessions.restore(
      found,
      messages,
      this.#progressOf("taking up what is owed"),
    );
    for (const { subject } of this.#sessions.values()) {
      if (subject.grant !== undefined) this.#context.tokens.subjects.add(subject);
    }
    this.#reportDamage(found, lost);
    if (sessions + this.#retained.messages === 0) return;
    const details = { sessions, owed, retained: this.#retained.messages };
    this.#parts.record({ type: "store-opened", details });
    const seconds = ((milliseconds + this.#parts.monotonic() - startedAt) / 1000).toFixed(1);
    this.#parts.report(
      `the store is open: ${sessions} sessions, ${owed} messages owed to them, ${details.retained} retained (${seconds} s)`,
    );
    this.#reportBeyondLimits();
  }

  /** What was acknowledged is taken up whatever the limits say now. */
  #reportBeyondLimits(): void {
    const { memoryBytes, queuedBytesTotal, storedBytes } = this.settings.limits;
    const taken = [
      ["memoryBytes", this.#budget.used, memoryBytes],
      ["queuedBytesTotal", this.#budget.queued, queuedBytesTotal],
      ["storedBytes", this.#journal.liveBytes, storedBytes],
    ] as const;
    for (const [limit, used, most] of taken) {
      if (used <= most) continue;
      const why = `what was kept takes ${used} bytes, and limits.${limit} is ${most}: ${effectsBeyond[limit]}`;
      this.#parts.record({ type: "store-beyond-limit", limit, why });
      this.#parts.report(why);
    }
  }

  #report({ rolledBack, faults }: StoreReport): void {
    for (const why of faults) {
      this.#parts.record({ type: "store-damaged", why });
      this.#parts.report(`the store is damaged: ${why}`);
    }
    if (rolledBack === undefined) return;
    const { was, is } = rolledBack;
    this.#parts.record({ type: "store-rolled-back", details: { was, is } });
    this.#parts.report(
      `the store is an older copy of itself: it ends with segment ${is}, and there was segment ${was}; what came after it is missing, and what was delivered after it may be delivered again`,
    );
  }

  #reportDamage({ damage }: Found, lost: number): void {
    const { segments, missing } = damage;
    if (segments.length + missing.length + lost === 0) return;
    const why = [
      ...segments.map((segment) => `segment ${segment.number}: ${segment.why}`),
      ...(missing.length === 0 ? [] : [`missing segments: ${missing.join(", ")}`]),
    ].join("; ");
    this.#parts.record({
      type: "store-damaged",
      why: printable(why),
      details: { segments: segments.length, missing: missing.length, messagesLost: lost },
    });
    this.#parts.report(
      `the store is damaged; what is whole is served, ${lost} messages owed are known to be lost: ${printable(why)}`,
    );
  }

  #storeFailing(error: Error): void {
    const why = printable(error.message);
    this.#parts.record({ type: "store-failing", why });
    this.#parts.report(
      `the store refuses to keep: ${why}; nothing is acknowledged that would be stored, and it is tried again every second`,
    );
    for (const connection of [...this.#connections]) connection.storeFailed();
  }

  #storeRecovered(): void {
    this.#parts.record({ type: "store-recovered" });
    this.#parts.report("the store keeps again");
    this.#sessions.storeRecovered();
  }

  /** What has expired gives its place back, in memory and on disk. */
  #removeExpired(): void {
    if (this.#settings === undefined) return;
    this.#router.removeExpired();
    this.#sessions.removeExpired();
    this.#journal.clean();
    this.#lookAtDay();
  }

  /** What a connection remembers for weeks is asked again once a day, so that a rule in use is seen in use. */
  #lookAtDay(): void {
    const today = Math.floor(this.#parts.now() / dayMs);
    if (today === this.#askedDay) return;
    this.#askedDay = today;
    this.#enforcement.watch.rules.forget();
    this.#askAgain();
  }

  /** Has everything asked again that is remembered; the answers are the same unless something has changed. */
  #askAgain(): void {
    this.#enforcement.worldChanged();
    this.#router.dropAllRoutes();
    this.#sessions.authorizeAgain(undefined)?.catch(this.#parts.failed);
  }

  #credentials(
    hosts: readonly string[],
    ...trustAnchors: readonly (readonly string[])[]
  ): Credentials {
    return { ...this.#parts.serverFiles(hosts), trustAnchors: trustAnchors.flat() };
  }

  /** Files that do not fit keep no change out, a revocation behind it least of all: the former ones stay. */
  #credentialsOrFormer(door: Door, hosts: readonly string[], anchors: readonly string[]) {
    try {
      return this.#credentials(hosts, anchors);
    } catch (error) {
      if (!(error instanceof CredentialFault)) throw error;
      this.#parts.record({ type: "settings-refused", why: error.message });
      return { ...door.credentials, trustAnchors: anchors };
    }
  }

  #retainedLimit(messages: number, bytes: number): string | undefined {
    const { limits } = this.settings;
    if (this.#retained.messages + messages > limits.retainedMessages) return "retainedMessages";
    const { bytes: held, treeBytes } = this.#retained;
    if (held + treeBytes + bytes > limits.retainedBytes) return "retainedBytes";
    return bytes > 0 && this.#budget.isOver ? "memoryBytes" : undefined;
  }

  /** `put` changes the subjects, and returns those that anybody here holds. */
  #applyChange(
    change: Omit<WorldChange, "subjects" | "lifecycle">,
    put: () => ReadonlySet<SubjectState>,
  ): Ended | Promise<Ended> {
    // What can fail comes first: nothing is changed until all of it has succeeded.
    const policy =
      change.policy === undefined
        ? undefined
        : compilePolicy(change.policy as Policy /* it checks what it gets */);
    if (policy !== undefined) this.tellOfPolicy(); // rules are told by ids of the policy they are of
    const settings = change.settings ?? this.settings;
    const trustAnchors = change.trustAnchors ?? this.#trustAnchors;
    const foreign = change.foreignCas && readForeignCas(change.foreignCas);
    const theirs = change.foreignCas?.map((ca) => ca.certificate) ?? this.#foreign.trustAnchors;
    const anchors = [...trustAnchors, ...theirs];
    const isNewTls = !isSame(
      tlsOf(settings, anchors),
      this.#settings &&
        tlsOf(this.#settings, [...this.#trustAnchors, ...this.#foreign.trustAnchors]),
    );
    if (this.#door !== undefined && isNewTls) {
      const former = this.#settings;
      this.#settings = settings;
      try {
        this.#door.useCredentials(this.#credentialsOrFormer(this.#door, settings.hosts, anchors));
      } catch (error) {
        this.#settings = former;
        throw error;
      }
    }
    if (change.feedKeys !== undefined) this.#parts.useFeedKeys(change.feedKeys);
    this.#settings = settings;
    this.#trustAnchors = trustAnchors;
    if (foreign !== undefined) this.#foreign.use(foreign);
    this.#budget.limit = settings.limits.memoryBytes;
    const ended = { connectionsClosed: 0, sessionsEnded: 0, messagesWithheld: 0 };
    const found = this.#found;
    if (found === undefined || policy === undefined) {
      this.#useShadow(change.shadow);
      this.#endTokens(this.#useTokens(change, policy), ended);
      const rest = this.#enforce(put(), policy, ended)?.catch(this.#parts.failed);
      if (foreign !== undefined) ended.connectionsClosed += this.#endForeign();
      return rest?.then(() => ended) ?? ended;
    }
    this.#found = undefined;
    put();
    this.#usePolicy(policy);
    this.#useShadow(change.shadow);
    this.#useTokens(change, policy);
    this.#restore(found);
    this.#endTokens(new Set(), ended); // nobody had a token yet whose issuer's terms could have changed
    return ended;
  }

  /** Retains a message of control on the `lifecycle` topic of each device. */
  #tell({ message, devices }: LifecycleNotice): void {
    for (const id of devices) {
      const subject = this.#subjects.get(id);
      const told = subject && lifecycleMessage(this.#router, subject, message);
      if (told === undefined) continue;
      told.retain = true;
      this.#router.publish(told, undefined);
    }
  }

  #put(
    subjects: Iterable<SubjectRecord>,
    { removedSubjects = [] }: WorldChange,
  ): ReadonlySet<SubjectState> {
    const changed = new Set<SubjectState | undefined>();
    for (const record of subjects) changed.add(this.#subjects.put(record));
    for (const id of removedSubjects) changed.add(this.#subjects.remove(id));
    changed.delete(undefined);
    return changed as ReadonlySet<SubjectState>;
  }

  /** What tokens are judged by from here on; gives the issuers whose tokens give something else than before. */
  #useTokens(
    { issuers, revokedTokens }: WorldChange,
    policy: CompiledPolicy | undefined,
  ): ReadonlySet<string> | undefined {
    if (issuers === undefined && revokedTokens === undefined && policy === undefined) return;
    const [former, formerMapping] = [this.#issuers, this.#mapping];
    this.#issuers = issuers ?? former;
    this.#mapping = policy?.tokenRoles ?? formerMapping;
    if (revokedTokens !== undefined) this.#tokens.revoke(revokedTokens);
    this.#tokens.use({
      org: this.settings.org,
      issuers: this.#issuers,
      mapping: this.#mapping,
    });
    return new Set(
      [...former, ...this.#issuers]
        .map(({ name }) => name)
        .filter(
          (name) =>
            !isSame(
              termsOf(former, formerMapping, name),
              termsOf(this.#issuers, this.#mapping, name),
            ),
        ),
    );
  }

  /** Ends connections whose token counts no longer, and sessions whose token was revoked; no will leaves with them. */
  #endTokens(changed: ReadonlySet<string> | undefined, ended: Writable<Ended>): void {
    if (changed === undefined) return;
    for (const connection of [...this.#connections]) {
      const { subject } = connection.peer;
      const { grant } = subject;
      if (grant === undefined) continue;
      const isGone = this.#tokens.isRevoked(grant);
      if (!isGone && !changed.has(grant.issuer)) continue;
      withdrawGrant(subject);
      connection.disconnect(0x87, isGone ? "the token was revoked" : "the issuer's terms changed");
      ended.connectionsClosed += 1;
    }
    for (const session of [...this.#sessions.values()]) {
      const { subject } = session;
      const { grant } = subject;
      if (grant === undefined) continue;
      const isGone = this.#tokens.isRevoked(grant);
      if (!isGone && !changed.has(grant.issuer)) continue;
      withdrawGrant(subject);
      if (!isGone) {
        session.stored?.rewrite();
        continue;
      }
      ended.sessionsEnded += 1;
      ended.messagesWithheld += session.queuedMessages;
      this.#sessions.end(session);
    }
  }

  /** Ends the connections whose foreign CA vouches for them no more; their sessions stay for another certificate. */
  #endForeign(): number {
    let closed = 0;
    for (const connection of [...this.#connections]) {
      const { subject, foreign } = connection.peer;
      const refused = foreign?.();
      if (refused === undefined) continue;
      connection.disconnect(0x98, refused.why);
      closed += 1;
      const details = { state: subject.record.state, connectionsClosed: 1 };
      this.#parts.record({ type: "subject-revoked", subject: subject.id, ...refused, details });
    }
    return closed;
  }

  #enforce(
    changed: ReadonlySet<SubjectState>,
    policy: CompiledPolicy | undefined,
    ended: Writable<Ended>,
  ): Promise<void> | undefined {
    if (policy === undefined && changed.size === 0) return undefined;
    const mayDoOther = new Set([...changed].filter(({ rights }) => rights === undefined));
    if (policy !== undefined) this.#usePolicy(policy);
    else if (mayDoOther.size > 0) this.#enforcement.worldChanged();
    if (policy !== undefined || mayDoOther.size > 0) this.#router.dropAllRoutes();
    for (const subject of changed) this.#endWithoutRight(subject, ended);
    if (policy === undefined && mayDoOther.size === 0) return undefined;
    return this.#sessions.authorizeAgain(policy === undefined ? mayDoOther : undefined, () => {
      ended.connectionsClosed += 1;
    });
  }

  /** Begins a trial, or ends it; a policy that cannot be tried keeps nothing else of the change out. */
  #useShadow(shadow: ShadowPolicy | null | undefined): void {
    if (shadow === undefined) return;
    const { watch, phi } = this.#enforcement;
    this.tellOfPolicy();
    watch.use(undefined);
    if (shadow === null) return;
    const { id, until } = shadow;
    try {
      const policy = compilePolicy(shadow.policy as Policy /* it checks what it gets */);
      const shown = (topic: string) => phi.shown(topic);
      watch.use(new ShadowTrial({ id, policy, until, shown }));
    } catch (error) {
      this.#parts.failed(error);
      return;
    }
    if (this.#found === undefined) this.#askAgain();
  }

  #usePolicy(policy: CompiledPolicy): void {
    this.#enforcement.usePolicy(policy);
    this.#grantClock.use(policy);
  }

  /** Ends what a changed subject may no longer have: everything when it is thrown out, else by certificate. */
  #endWithoutRight(subject: SubjectState, ended: Writable<Ended>): void {
    let closed = 0;
    for (const connection of [...this.#connections.of(subject)]) {
      if (refuseCertificate(connection.peer) === undefined) continue;
      connection.disconnect(0x98, "the certificate was revoked");
      closed += 1;
    }
    ended.connectionsClosed += closed;
    if (!subject.isAdmitted) {
      const { sessions, messages } = this.#sessions.endAllOf(subject);
      ended.sessionsEnded += sessions;
      ended.messagesWithheld += messages;
    }
    if (closed === 0 && subject.isAdmitted) return;
    this.#parts.record({
      type: "subject-revoked",
      subject: printable(subject.id),
      details: { state: subject.record.state, connectionsClosed: closed },
    });
  }
}

type Writable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** What an issuer's tokens give, apart from the keys they are signed with. */
function termsOf(
  issuers: readonly Issuer[],
  mapping: readonly RoleMapping[],
  name: string,
): unknown {
  const issuer = issuers.find((one) => one.name === name);
  const roles = mapping.filter((row) => row.issuer === name);
  return issuer && { ...issuer, roles, keys: undefined, keysUntil: undefined };
}

/** What the secure contexts of the door are made from, beside its files. */
function tlsOf({ hosts, tls, limits }: BrokerSettings, trustAnchors: readonly string[]): unknown {
  return [hosts, tls, limits.connectTimeoutMs, trustAnchors];
}
