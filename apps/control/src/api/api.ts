import { createHash } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import {
  type ApiRoute,
  apiPrefix,
  apiRoutes,
  type CommandName,
  type CommandRequest,
  type CommandTable,
  commands,
  jsonSchema,
  openApiDocument,
  parseJson,
  RepeatedKeyError,
} from "@wardmq/commands";
import { printable, type SecurityEvent } from "@wardmq/events";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { ApprovalNeeded } from "../commands/approvals.ts";
import { etagOf } from "../commands/etag.ts";
import type { Caller } from "../commands/handler.ts";
import { repeatedKey, requestOf, wrongRequest } from "../commands/requests.ts";
import { statusOf } from "../errors.ts";
import { Failure, responseOf } from "../failure.ts";
import type { IdempotentAnswers } from "../pending/answers.ts";

export interface ApiParts {
  /** Who sent a request; rejects, and has said so in an event, where certificate or token are not good. */
  readonly callerOf: (request: FastifyRequest["raw"]) => Promise<Caller>;
  /** Whether an access token may get somebody in. */
  readonly areTokensTaken: () => boolean;
  /** Takes a logout token of an issuer; false where it is refused. */
  readonly logOut: (token: string, request: FastifyRequest["raw"]) => Promise<boolean>;
  readonly execute: (request: CommandRequest, caller: Caller) => Promise<unknown>;
  readonly answers: IdempotentAnswers;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  readonly report: (line: string) => void;
}

/** An answer before it is sent. */
interface Answer {
  readonly status: number;
  /** JSON. */
  readonly body: string;
  readonly code?: string;
  /** What the command made, or was about. */
  readonly target?: string | undefined;
}

const bodyLimit = 16 * 1024 * 1024;
const logoutPath = `${apiPrefix}/back-channel-logout`;
const logoutLimit = 16 * 1024;
const longestSegment = 200;
const table: CommandTable = commands;

/**
 * The API: one route for each row of packages/commands that has one, and `/openapi.json`. Who calls is found out before
 * anything of a body is read.
 */
export async function api(parts: ApiParts): Promise<RequestListener> {
  const callers = new WeakMap<FastifyRequest, Caller>();
  const callerOf = (request: FastifyRequest): Caller => {
    const caller = callers.get(request);
    if (caller === undefined) throw new Error("a call of nobody");
    return caller;
  };
  let listener: RequestListener | undefined;
  const app = fastify({
    bodyLimit,
    routerOptions: { maxParamLength: longestSegment },
    // What fastify can not read it would answer itself, without asking who calls: it is a path that is none.
    rewriteUrl: ({ url = "/" }) => (isReadable(url) ? url : "/"),
    // The door has the server: it hands requests to the listener.
    serverFactory: (handle) => {
      listener = handle;
      return createServer();
    },
  });
  addJson(app);
  app.addHook("onRequest", async (request, reply) => {
    reply.headers({
      "cache-control": "no-store",
      "strict-transport-security": "max-age=31536000",
      "x-content-type-options": "nosniff",
    });
    if (request.routeOptions.url !== logoutPath)
      callers.set(request, await parts.callerOf(request.raw));
  });
  const document = JSON.stringify(openApiDocument(table));
  app.get("/openapi.json", async (_, reply) => reply.type("application/json").send(document));
  for (const route of apiRoutes(table)) {
    app.route({
      method: route.method,
      url: route.path.replace(/\{(\w+)\}/g, ":$1"),
      handler: async (request, reply) => {
        const answer = await answerCall(parts, route, request, callerOf(request));
        if (route.isRecord && answer.status === 200) reply.header("etag", etagOf(answer.body));
        return send(reply, answer);
      },
    });
  }
  app.setNotFoundHandler(async (request, reply) => {
    const { actor } = callerOf(request);
    const [path = ""] = request.originalUrl.split("?");
    const why = `there is no ${printable(`${request.method} ${path}`, 100)}`;
    const refused = new Failure("ERR_ROUTE", why, { hint: "look at /openapi.json" });
    parts.record({ type: "request-refused", listener: "api", subject: actor, check: "route", why });
    return send(reply, problemOf(refused, parts));
  });
  // What is refused before a handler: who is nobody, a body that is too large or no JSON, a path that is none.
  app.setErrorHandler(async (error, request, reply) => {
    const refused = failureOf(error);
    if (refused instanceof Failure && refused.code === "ERR_UNAUTHENTICATED") {
      if (parts.areTokensTaken()) reply.header("www-authenticate", 'Bearer error="invalid_token"');
      return send(reply, problemOf(refused, parts));
    }
    const { actor } = callers.get(request) ?? { actor: "nobody" };
    const why = refused instanceof Failure ? refused.message : "control made a mistake";
    const event = { type: "request-refused", listener: "api", subject: actor } as const;
    parts.record({ ...event, check: "request", why });
    return send(reply, problemOf(refused, parts));
  });
  app.register(async (form) => addLogout(form, parts));
  await app.ready();
  if (listener === undefined) throw new Error("fastify made no server");
  return listener;
}

function isReadable(url: string): boolean {
  const [path = ""] = url.split("?");
  try {
    decodeURIComponent(path);
  } catch {
    return false;
  }
  return path.split("/").every((segment) => segment.length <= longestSegment);
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A body is one JSON text in UTF-8, in which no key stands twice, and nothing else. */
function addJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_, body, done) => {
    try {
      done(null, parseJson(utf8.decode(body as Buffer)));
    } catch (error) {
      done(error instanceof RepeatedKeyError ? repeatedKey(error) : noJson("no JSON request"));
    }
  });
}

function noJson(why: string): Failure {
  return wrongRequest(why, "send one JSON object with content-type: application/json");
}

/**
 * OpenID Connect Back-Channel Logout 1.0 section 2.5: the logout token proves who sends it, so nobody is asked for a
 * certificate here, and nothing else of the API can be reached this way.
 */
function addLogout(app: FastifyInstance, { logOut }: ApiParts): void {
  const type = "application/x-www-form-urlencoded";
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(type, { parseAs: "string", bodyLimit: logoutLimit }, (_, body, done) =>
    done(null, new URLSearchParams(String(body)).getAll("logout_token")),
  );
  app.post(logoutPath, { bodyLimit: logoutLimit }, async ({ body, raw }, reply) => {
    const [token, ...more] = (body ?? []) as readonly string[];
    const isTaken = token !== undefined && more.length === 0 && (await logOut(token, raw));
    // Section 2.8; which check it failed is for the events.
    if (isTaken) return reply.code(200).send();
    return reply.code(400).send({ error: "invalid_request" });
  });
}

/** One call: every one is an event with who, what and what came of it. */
async function answerCall(
  parts: ApiParts,
  route: ApiRoute,
  request: FastifyRequest,
  caller: Caller,
): Promise<Answer> {
  let wanted: CommandRequest | undefined;
  let answer: Answer;
  try {
    wanted = requestOf(route.name as CommandName, argumentsOf(route, request));
    answer = await answerOnce(parts, wanted, request, caller);
  } catch (error) {
    answer = problemOf(error, parts);
  }
  const { actor, role, token } = caller;
  const { status, code } = answer;
  const details = {
    ...{ actor, role, command: route.name, status },
    ...(code ? { code } : {}),
    ...(token ? { person: token.grant.subject, token: token.hash } : {}),
  };
  const subject = answer.target ?? targetOf(route, wanted);
  parts.record({ type: "api-call", listener: "api", subject, details });
  return answer;
}

/** With an idempotency key a request is done once, and the same request again gets the same answer. */
async function answerOnce(
  parts: ApiParts,
  wanted: CommandRequest,
  request: FastifyRequest,
  caller: Caller,
): Promise<Answer> {
  const key = request.headers["idempotency-key"];
  if (key === undefined || request.method === "GET") return perform(parts, wanted, caller);
  if (typeof key !== "string" || !/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw new Failure("ERR_IDEMPOTENCY_KEY", "the idempotency key has another form", {
      hint: "write 1 to 200 printable ASCII characters without spaces, such as a uuid",
    });
  }
  const hash = createHash("sha256").update(JSON.stringify(wanted)).digest("hex");
  const known = parts.answers.claim(caller.actor, key, hash, caller.at);
  switch (known.is) {
    case "answered": {
      const { body, ...answer } = known.answer;
      if (body !== undefined) return { ...answer, body };
      throw new Failure("ERR_IDEMPOTENCY_UNFINISHED", "it was done, and its result is shown once", {
        hint: "give the command again with a new key",
      });
    }
    case "other":
      throw new Failure("ERR_IDEMPOTENCY_KEY", "another request has this idempotency key", {
        hint: "take a new key for every new request",
      });
    case "unfinished":
      throw new Failure(
        "ERR_IDEMPOTENCY_UNFINISHED",
        "the first request with this key has not ended",
        {
          hint: "ask again in a moment; if it stays so, control ended meanwhile: look at what became of it",
        },
      );
    case "new": {
      const answer = await perform(parts, wanted, caller);
      const { body, target: _, ...rest } = answer;
      const isSecret = answer.status === 200 && isShownOnce(wanted.command);
      if (answer.status < 500)
        parts.answers.answered(caller.actor, key, isSecret ? rest : { ...rest, body });
      return answer;
    }
  }
}

async function perform(parts: ApiParts, wanted: CommandRequest, caller: Caller): Promise<Answer> {
  try {
    const result = await parts.execute(wanted, caller);
    return { status: 200, body: JSON.stringify(result), target: idOf(result) };
  } catch (error) {
    return problemOf(error, parts);
  }
}

function isShownOnce(name: string): boolean {
  const command = table[name];
  return command !== undefined && "isShownOnce" in command;
}

/** Arguments by their names, wherever the route has them; a name in two places, or where it does not belong, is refused. */
function argumentsOf(route: ApiRoute, { params, query, body, headers }: FastifyRequest): object {
  const given = new Map<string, unknown>();
  const ifMatch = headers["if-match"];
  if (ifMatch !== undefined && !route.takesIfMatch)
    throw wrongRequest(`${route.name} takes no If-Match`, "leave it out");
  if (ifMatch !== undefined) given.set("ifMatch", ifMatch);
  const schema = table[route.name]?.arguments;
  if (schema === undefined) throw new Error("a route without a command");
  const { properties } = jsonSchema(schema, "input") as {
    properties: Readonly<Record<string, { readonly type?: string }>>;
  };
  for (const [key, value] of Object.entries(params as Record<string, string>))
    given.set(key, fromText(value, properties[key]?.type));
  for (const [key, value] of Object.entries(query as Record<string, unknown>)) {
    if (!route.inQuery.includes(key))
      throw wrongRequest(`${route.name} has no argument ${printable(key, 60)} in the query`);
    given.set(key, fromText(value, properties[key]?.type));
  }
  if (route.method === "GET" || route.method === "DELETE") {
    // That of a GET is never read.
    const { "content-length": length = "0", "transfer-encoding": coding } = headers;
    if (length !== "0" || coding !== undefined)
      throw wrongRequest(`${route.name} takes no body`, "leave it out");
    return Object.fromEntries(given);
  }
  if (typeof (body ?? {}) !== "object" || Array.isArray(body))
    throw wrongRequest("the body is one JSON object");
  for (const [key, value] of Object.entries(body ?? {})) {
    if (!route.inBody.includes(key))
      throw wrongRequest(`${route.name} has no argument ${printable(key, 60)} in the body`);
    given.set(key, value);
  }
  return Object.fromEntries(given);
}

/** What a text in a path or query stands for; one that is nothing of the kind stays a text, and is refused with its name. */
function fromText(value: unknown, type: string | undefined): unknown {
  if (typeof value !== "string") return value;
  if (type === "integer" && /^-?\d{1,15}$/.test(value)) return Number(value);
  if (type === "boolean" && (value === "true" || value === "false")) return value === "true";
  return value;
}

function send(reply: FastifyReply, { status, body, code }: Answer): FastifyReply {
  const isProblem = code !== undefined && status !== 202;
  // RFC 9470 section 3
  if (code === "ERR_STEP_UP")
    reply.header("www-authenticate", 'Bearer error="insufficient_user_authentication"');
  return reply
    .code(status)
    .type(isProblem ? "application/problem+json" : "application/json")
    .send(body);
}

/** RFC 9457, with our stable code and hint. */
function problemOf(error: unknown, { report }: Pick<ApiParts, "report">): Answer {
  if (error instanceof ApprovalNeeded) {
    const { approval, code } = error;
    return { status: 202, body: JSON.stringify({ approval }), code };
  }
  const { code, message, hint } = responseOf(error, report).error;
  const status = statusOf(code);
  const type = `urn:wardmq:error:${code}`;
  return { status, code, body: JSON.stringify({ type, title: message, status, code, hint }) };
}

/** The id of what a command made. */
function idOf(result: unknown): string | undefined {
  const { id } = (result ?? {}) as { id?: unknown };
  return typeof id === "string" ? printable(id, 100) : undefined;
}

/** What a call is about: the first argument in its path, else a name, else the command. */
function targetOf({ name, inPath }: ApiRoute, wanted: CommandRequest | undefined): string {
  const given: Readonly<Record<string, unknown>> = wanted?.arguments ?? {};
  const [first = ""] = [...inPath, "name", "id"].flatMap((key) => {
    const value = given[key];
    return typeof value === "string" && value !== "" ? [printable(value, 100)] : [];
  });
  return first === "" ? name : first;
}

function failureOf(error: unknown): unknown {
  const { statusCode = 500, code } = error as { statusCode?: number; code?: string };
  if (error instanceof Failure || statusCode >= 500) return error;
  const why = code === "FST_ERR_CTP_BODY_TOO_LARGE" ? "the body is too large" : "no JSON request";
  return noJson(why);
}
