import { z } from "zod";
import type { CallerRole, CommandDefinition, CommandTable } from "./command.ts";

/** A command of the API: where it is, and which of its arguments stand where. */
export interface ApiRoute {
  readonly name: string;
  readonly summary: string;
  readonly role: Exclude<CallerRole, "local">;
  readonly needsApproval: boolean;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Such as `/v1/subjects/{subject}/revoke`. */
  readonly path: string;
  readonly inPath: readonly string[];
  readonly inQuery: readonly string[];
  readonly inBody: readonly string[];
  /** Whether it takes the header If-Match, as its argument `ifMatch`. */
  readonly takesIfMatch: boolean;
  /** Whether its result is a record, which comes with an ETag. */
  readonly isRecord: boolean;
}

export const apiPrefix = "/v1";

/** Every command of a table that has a route, in the order of the table. */
export function apiRoutes(table: CommandTable): readonly ApiRoute[] {
  return Object.entries(table).flatMap(([name, command]) => {
    if (command.role === "local") return [];
    const [method, path] = command.route.split(" ") as [ApiRoute["method"], string];
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, key = ""]) => key);
    const { ifMatch, ...shape } = command.arguments.shape;
    const others = Object.keys(shape).filter((key) => !inPath.includes(key));
    const hasBody = method !== "GET" && method !== "DELETE";
    const { summary, role } = command;
    return {
      ...{ name, summary, role, method, path: apiPrefix + path, inPath },
      needsApproval: command.approval !== undefined,
      inQuery: hasBody ? [] : others,
      inBody: hasBody ? others : [],
      takesIfMatch: ifMatch !== undefined,
      isRecord: command.isRecord === true,
    };
  });
}

type JsonSchema = Readonly<Record<string, unknown>>;

/** The OpenAPI 3.1 document of the API. Its schemas are those that requests are checked with. */
export function openApiDocument(table: CommandTable): object {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of apiRoutes(table)) {
    const command = table[route.name];
    if (command === undefined) continue;
    paths[route.path] ??= {};
    Object.assign(paths[route.path] ?? {}, {
      [route.method.toLowerCase()]: operation(route, command),
    });
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "WardMQ control",
      version: "1",
      description:
        "Operators authenticate with a client certificate, or with an access token of an issuer that issuers.yaml gives `api`. Every call is an event. Calls that need approval answer 202 and wait for a second security officer.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    security: [{ clientCertificate: [] }, { bearerAuth: [] }], // one of them
    paths,
    components: {
      securitySchemes: {
        clientCertificate: { type: "mutualTLS", description: "the certificate of an operator" },
        bearerAuth: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description:
            "an access token for the audience of the API: it counts only where issuers.yaml gives its issuer `api`, an opaque one only with `introspection` too. A certificate that comes along has to be of the same operator",
        },
      },
      schemas: { Problem: problem, PendingApproval: pendingApproval },
    },
  };
}

const problem = {
  description: "RFC 9457",
  type: "object",
  required: ["type", "title", "status", "code"],
  properties: {
    type: { type: "string", examples: ["urn:wardmq:error:ERR_SUBJECT_UNKNOWN"] },
    title: { type: "string", description: "what was wrong and where" },
    status: { type: "integer", examples: [404] },
    code: {
      type: "string",
      description: "stable; docs/errors.md lists all",
      examples: ["ERR_SUBJECT_UNKNOWN"],
    },
    hint: { type: "string", description: "what to do instead" },
  },
} as const;

const pendingApproval = {
  type: "object",
  required: ["approval"],
  properties: {
    approval: { type: "object", required: ["id", "expiresAt"], additionalProperties: true },
  },
} as const;

function operation(route: ApiRoute, command: CommandDefinition): object {
  const { properties, required } = objectSchema(command.arguments);
  const isRequired = (key: string) => required.includes(key);
  const parameter = (place: "path" | "query") => (key: string) => ({
    name: key,
    in: place,
    required: isRequired(key),
    schema: properties[key],
  });
  const idempotency = {
    name: "Idempotency-Key",
    in: "header",
    required: false,
    description: "the same key and request again get the same answer for a day",
    schema: { type: "string", minLength: 1, maxLength: 200 },
  };
  const precondition = {
    name: "If-Match",
    in: "header",
    required: false,
    description: "the ETag of the record: 412 when it has been changed since",
    schema: properties["ifMatch"],
  };
  const entityTag = {
    ETag: { description: "of the record, for If-Match", schema: { type: "string" } },
  };
  const body = {
    type: "object",
    properties: Object.fromEntries(route.inBody.map((key) => [key, properties[key]])),
    required: route.inBody.filter(isRequired),
    additionalProperties: false,
    examples: [Object.fromEntries(only(exampleArguments(command), route.inBody))],
  };
  const json = (schema: unknown) => ({ "application/json": { schema } });
  const pending = {
    description: "waits for the approval of a second security officer",
    content: json({ $ref: "#/components/schemas/PendingApproval" }),
  };
  return {
    operationId: route.name,
    summary: route.summary,
    "x-role": route.role,
    "x-approval": route.needsApproval ? "second-person" : "none",
    parameters: [
      ...route.inPath.map(parameter("path")),
      ...route.inQuery.map(parameter("query")),
      ...(route.method === "GET" ? [] : [idempotency]),
      ...(route.takesIfMatch ? [precondition] : []),
    ],
    ...(route.inBody.length === 0
      ? {}
      : { requestBody: { required: body.required.length > 0, content: json(body) } }),
    responses: {
      "200": {
        description: "done",
        ...(route.isRecord ? { headers: entityTag } : {}),
        content: json(jsonSchema(command.result, "output")),
      },
      ...(route.needsApproval ? { "202": pending } : {}),
      default: {
        description: "refused",
        content: {
          "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
        },
      },
    },
  };
}

function only(values: Readonly<Record<string, unknown>>, keys: readonly string[]) {
  return Object.entries(values).filter(([key]) => keys.includes(key));
}

/** Arguments that a command takes, made from the examples of its schema: for documents, and for tests. */
export function exampleArguments(command: CommandDefinition): Readonly<Record<string, unknown>> {
  const { properties, required } = objectSchema(command.arguments);
  return Object.fromEntries(required.map((key) => [key, exampleOf(properties[key] ?? {})]));
}

function exampleOf(schema: JsonSchema): unknown {
  const { examples, enum: values, type, items, minItems, properties, required } = schema;
  const [given] = (examples ?? values ?? []) as readonly unknown[];
  if (given !== undefined) return given;
  if (type === "integer" || type === "number") return 1;
  if (type === "boolean") return true;
  if (type === "array") return minItems === undefined ? [] : [exampleOf(items as JsonSchema)];
  if (type !== "object") return "text";
  const of = (properties ?? {}) as Readonly<Record<string, JsonSchema>>;
  const keys = (required ?? []) as readonly string[];
  return Object.fromEntries(keys.map((key) => [key, exampleOf(of[key] ?? {})]));
}

function objectSchema(schema: z.ZodObject) {
  const { properties = {}, required = [] } = jsonSchema(schema, "input") as {
    properties?: Readonly<Record<string, JsonSchema>>;
    required?: readonly string[];
  };
  return { properties, required };
}

/** JSON Schema 2020-12, which OpenAPI 3.1 takes as it is; its dialect stands in the document already. */
export function jsonSchema(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, target: "draft-2020-12" });
  return rest;
}
