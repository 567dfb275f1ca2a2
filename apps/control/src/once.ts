import { resolve } from "node:path";
import type { CommandRequest, CommandResponse } from "@wardmq/commands";
import { FeedError, LineSplitter } from "@wardmq/feed";
import { readPrivateText } from "@wardmq/keys";
import { loadPolicy, tokenRoles } from "@wardmq/policy";
import { currentActor } from "./actor.ts";
import { backup } from "./backup/backup.ts";
import { restore } from "./backup/restore.ts";
import { openAuthority } from "./ca/authority.ts";
import { FleetRotation } from "./ca/fleet-rotation.ts";
import { Issuance } from "./ca/issuance.ts";
import { RevocationLists } from "./ca/revocation-lists.ts";
import { RevokedCas } from "./ca/revoked-cas.ts";
import { ServerCertificates } from "./ca/server-certificates.ts";
import { execute } from "./commands/execute.ts";
import type { Surroundings } from "./commands/handler.ts";
import { init } from "./commands/init.ts";
import { changeKeys } from "./commands/keys-change.ts";
import { parseRequest, wrongRequest } from "./commands/requests.ts";
import { enterDeployment, paths, readIssuers, readOperatorFiles } from "./deployment.ts";
import { openManufacturers } from "./est/manufacturers.ts";
import { Failure, responseOf } from "./failure.ts";
import { openFeedKeys } from "./feed/feed-signer.ts";
import { readText, stateFile } from "./files.ts";
import { ForeignCas } from "./foreign/foreign-cas.ts";
import { takeLock } from "./lock.ts";
import { Policies } from "./policy/policies.ts";
import { readPolicyFiles, writePolicyFiles } from "./policy/policy-files.ts";
import { PolicyTrial } from "./policy/policy-trial.ts";
import { PolicyVersions } from "./policy/policy-versions.ts";
import { RuleUsage } from "./policy/rule-usage.ts";
import type { Doing } from "./registry/registry.ts";
import { openSealedState } from "./sealed-state.ts";
import { askHttps } from "./tokens/https-text.ts";
import { Introspection } from "./tokens/introspection.ts";
import { keptIssuers } from "./tokens/issuers.ts";
import { TokenRevocations } from "./tokens/token-revocations.ts";

const lockWaitMs = 10_000;
/** A thousand devices of an import. */
const longestRequest = 16 * 1024 * 1024;

/**
 * Does the requests on standard input directly on the files, one after the other, answers each on standard output, and
 * gives the exit code of the last. The files are held from the first request to the end of the input.
 */
export async function once(directory: string, report: (line: string) => void): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const folder = resolve(directory);
  let files: Promise<Surroundings> | undefined;
  const held = () => {
    files ??= openFiles(folder, report, stack);
    return files;
  };
  let last: CommandResponse | undefined;
  for await (const line of requests()) {
    last = await answer(line, folder, held, report);
    await write(last);
  }
  if (last !== undefined) return last.ok ? 0 : last.error.exitCode;
  const refusal = responseOf(wrongRequest("no request came on standard input"), report);
  await write(refusal);
  return refusal.error.exitCode;
}

async function answer(
  line: string | Failure,
  folder: string,
  files: () => Promise<Surroundings>,
  report: (line: string) => void,
): Promise<CommandResponse> {
  try {
    if (line instanceof Failure) throw line;
    const result = await doneBy(folder, parseRequest(line), files, report);
    return { ok: true, result };
  } catch (error) {
    return responseOf(error, report);
  }
}

/** What comes before there is a deployment, or beside a control that serves it, needs no lock; all else does. */
async function doneBy(
  folder: string,
  request: CommandRequest,
  files: () => Promise<Surroundings>,
  report: (line: string) => void,
): Promise<unknown> {
  const caller = { actor: currentActor(), role: "local", at: Date.now() } as const;
  switch (request.command) {
    case "init":
      return init(folder, request.arguments, caller);
    case "restore":
      return restore(folder, request.arguments, Date.now);
    case "backup":
      enterDeployment(folder);
      return backup(request.arguments, Date.now());
    case "keys.change":
      enterDeployment(folder);
      return changeKeys(request.arguments, caller, report);
    default:
      return execute(await files(), request, caller);
  }
}

const write = (response: CommandResponse) =>
  new Promise((written) => process.stdout.write(`${JSON.stringify(response)}\n`, written));

/** The lines of standard input; one that is too long is a refusal, and the last. */
async function* requests(): AsyncGenerator<string | Failure> {
  const lines = new LineSplitter(longestRequest);
  try {
    for await (const chunk of process.stdin) yield* lines.push(chunk);
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    yield wrongRequest(error.message);
  }
}

async function openFiles(
  directory: string,
  report: (line: string) => void,
  stack: AsyncDisposableStack,
): Promise<Surroundings> {
  enterDeployment(directory);
  const lock = await takeLock(paths.lock, lockWaitMs, paths.controlSocket);
  stack.defer(() => lock.release());
  const state = openSealedState({ now: Date.now, report });
  stack.defer(() => state.close());
  const { registry, pending, events, files } = state;
  const introspection = new Introspection({
    ask: askHttps,
    issuer: () => readIssuers().find(({ introspection }) => introspection !== undefined),
    now: Date.now,
    readFile: readText,
    readSecret: readPrivateText,
    record: () => {}, // the one who asks hears it
  });
  const kept = () => keptIssuers(readIssuers(), stateFile(paths.issuerKeys).read(), Date.now());
  const authority = () =>
    openAuthority(Date.now(), readOperatorFiles([], registry.identity).published);
  const lists = new RevocationLists({
    issuers: () => authority().signing,
    registry,
    now: Date.now,
    failed: () => {}, // nothing is published but what is asked for
  });
  const revokedCas = new RevokedCas(files.revokedCas);
  const takeOver = async (doing: Doing, reason: string) => {
    const { policyFiles } = readOperatorFiles([], registry.identity);
    versions().record(policyFiles, reason, doing);
  };
  const versions = () => {
    const { signer, former } = openFeedKeys(files.rotations);
    return new PolicyVersions(files.policies, signer, former);
  };
  const record: Surroundings["record"] = (event) => events.append([{ ...event, at: Date.now() }]);
  const publisher: Surroundings["publisher"] = {
    publish: () => async () => ({ answers: [], unconfirmed: 0 }),
  };
  const servers = new ServerCertificates(paths.serverCertificates);
  return {
    registry,
    authority,
    issuance: new Issuance({ registry, authority, servers, publisher, record }),
    servers: { issued: servers, shown: () => [], renew: async () => [] },
    lists,
    revokedCas,
    rotations: files.rotations,
    fleet: new FleetRotation({
      registry,
      file: files.fleet,
      steps: files.rotations,
      lists,
      revokedCas,
      publish: () => {},
      reload: async () => [],
      now: Date.now,
    }),
    publisher,
    tokens: {
      mapping: () => tokenRoles(readOperatorFiles([], registry.identity).policy),
      issuers: () => kept().ofBrokers,
      ofApi: () => kept().ofApi,
      settingsOf: () => undefined, // nobody comes here with a token
      introspect: (token) => introspection.of(token),
      now: Date.now,
      revocations: new TokenRevocations({ now: Date.now, file: files.tokenRevocations }),
      bans: async () => ({ bans: [], brokers: 0, unconfirmed: 0 }), // no broker is connected here
      claimed: () => [],
      liftBan: () => {},
    },
    pending,
    manufacturers: openManufacturers({
      folder: paths.manufacturers,
      now: Date.now,
      record,
      changed: () => {}, // nobody enrols
    }),
    foreignCas: new ForeignCas({
      folder: paths.foreignCas,
      registry,
      authority,
      now: Date.now,
      record,
      changed: () => {}, // no broker hears
    }),
    record,
    reload: async (doing) => {
      await takeOver(doing, "reload"); // nobody runs who would have the former ones
      return [];
    },
    lastEvents: (count) => events.last(count),
    rekeyBrokers: async () => [],
    tenants: () => readOperatorFiles([], registry.identity).policy.tenants,
    breakGlassChanged: () => {},
    get trial() {
      const trial = new PolicyTrial({
        file: files.policyTrial,
        now: Date.now,
        load: (text) => loadPolicy(text, registry.identity),
        inForce: () => readOperatorFiles([], registry.identity).policy,
        publish: () => {},
        record: (event) => events.append([{ ...event, at: Date.now() }]),
      });
      stack.defer(() => trial.close());
      return trial;
    },
    get usage() {
      return new RuleUsage({ file: files.ruleUsage, now: Date.now });
    },
    get policies() {
      const parts = { readFiles: readPolicyFiles, writeFiles: writePolicyFiles, takeOver };
      return new Policies({ store: versions(), ...parts });
    },
    rekey: state.rekey,
  };
}
