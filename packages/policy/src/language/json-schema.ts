import { policyShape } from "./language.ts";
import { namePattern } from "./policy.ts";
import type { RecordShape, Shape } from "./shape.ts";

type Schema = Readonly<Record<string, unknown>>;

/** The language as a JSON Schema, for editors: completion, descriptions, and most of what the reader checks. */
export function policyJsonSchema(): Schema {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "The policy of a WardMQ deployment",
    ...schemaOf(policyShape),
  };
}

function schemaOf(shape: Shape): Schema {
  switch (shape.is) {
    case "text":
      if (shape.oneOf) return { enum: shape.oneOf };
      return { type: "string", ...(shape.pattern === undefined ? {} : { pattern: shape.pattern }) };
    case "number":
      return { type: "integer", minimum: shape.minimum, maximum: shape.maximum };
    case "truth":
      return { type: "boolean" };
    case "list":
      return shape.orOne
        ? { anyOf: [schemaOf(shape.of), { type: "array", minItems: 1, items: schemaOf(shape.of) }] }
        : { type: "array", items: schemaOf(shape.of) };
    case "record":
      return recordSchema(shape);
    case "named":
      return {
        type: "object",
        propertyNames: { pattern: namePattern.source },
        additionalProperties: schemaOf(shape.of),
      };
    case "short":
      return shape.record
        ? { anyOf: [schemaOf(shape.text), recordSchema(shape.record)] }
        : schemaOf(shape.text);
  }
}

function recordSchema({ fields }: RecordShape): Schema {
  const entries = Object.entries(fields);
  const required = entries.flatMap(([key, { isRequired }]) => (isRequired ? key : []));
  return {
    type: "object",
    properties: Object.fromEntries(
      entries.map(([key, { shape, summary }]) => [
        key,
        { description: summary, ...schemaOf(shape) },
      ]),
    ),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}
