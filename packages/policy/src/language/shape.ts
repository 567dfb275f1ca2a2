import type { Place } from "./policy.ts";

/** What is wrong with a text, and at which character of it. */
export interface Fault {
  readonly at: number;
  readonly message: string;
  readonly hint: string;
}

/**
 * What a value of the language may be. One table of shapes is read by the reader of YAML, the decoder of JSON, the JSON
 * Schema for editors and the reference in docs/policy.md.
 */
export type Shape =
  | TextShape
  | NumberShape
  | TruthShape
  | ListShape
  | RecordShape
  | NamedShape
  | ShortShape;

export interface TextShape {
  readonly is: "text";
  /** `a topic filter`. */
  readonly what: string;
  /** What is wrong with the text, or nothing. */
  readonly check?: (text: string) => Fault | undefined;
  /** In place of a check: it is one of these. */
  readonly oneOf?: readonly string[];
  /** It names a role or group of the policy. */
  readonly refersTo?: "role" | "group";
  /** For editors; `check` is the authority. */
  readonly pattern?: string;
}

export interface NumberShape {
  readonly is: "number";
  readonly what: string;
  readonly minimum: number;
  readonly maximum: number;
}

export interface TruthShape {
  readonly is: "truth";
  readonly what: string;
}

export interface ListShape {
  readonly is: "list";
  readonly what: string;
  readonly hint: string;
  readonly of: Shape;
  /** One item may stand alone, without the list; none at all is refused. */
  readonly orOne?: true;
}

/** A map of fixed keys; what is read gets its place too. */
export interface RecordShape {
  readonly is: "record";
  /** `{ role: bedside-device, to: "device:*" }`. */
  readonly example: string;
  readonly fields: Readonly<Record<string, Field>>;
}

/** A map of names that the operator chooses; read as a list of records that have a `name`. */
export interface NamedShape {
  readonly is: "named";
  readonly what: string;
  readonly hint: string;
  /** `a role name`; names are of the closed alphabet. */
  readonly name: string;
  /** Where only these names mean something. */
  readonly names?: readonly string[];
  readonly of: Shape;
  /** Where `of` is no record: the field that holds its value. */
  readonly as?: string;
}

/** A record that may be written as the text of one of its fields. */
export interface ShortShape {
  readonly is: "short";
  readonly field: string;
  readonly text: TextShape;
  /** Left out where the text is all there is. */
  readonly record?: RecordShape;
}

export interface Field {
  readonly shape: Shape;
  readonly isRequired: boolean;
  /** A list that is left out is read as an empty one. */
  readonly isFilled: boolean;
  readonly summary: string;
}

/** A record whose table of fields must name every key of the type it is read as. */
export function record<Read>(
  example: string,
  fields: { readonly [Key in Exclude<keyof Read, keyof Place>]-?: Field },
): RecordShape {
  return { is: "record", example, fields };
}

export const required = (shape: Shape, summary: string): Field => ({
  shape,
  isRequired: true,
  isFilled: false,
  summary,
});

export const optional = (shape: Shape, summary: string): Field => ({
  shape,
  isRequired: false,
  isFilled: shape.is === "list" || shape.is === "named",
  summary,
});

/** A list that means something else when it is left out than when it is empty. */
export const condition = (shape: Shape, summary: string): Field => ({
  ...optional(shape, summary),
  isFilled: false,
});
