import { z } from "zod";

/** Codes of arguments whose form is refused with more than that it is wrong. */
export type FormCode = "ERR_ATTRIBUTE" | "ERR_DEVICE_ID" | "ERR_SUBJECT" | "ERR_OPERATOR";

interface FormDefinition {
  readonly code: FormCode;
  /** What is said after the text, such as "names no device". */
  readonly message: string;
  /** What to write instead. */
  readonly hint: string;
  readonly description: string;
  readonly example: string;
}

/** Text of a closed form. A refusal has `code` and `hint` in the `params` of zod's issue. */
function formed(pattern: RegExp, definition: FormDefinition) {
  const { code, message, hint, description, example } = definition;
  return z
    .string()
    .refine((text) => pattern.test(text), { params: { code, hint }, error: message })
    .meta({ pattern: pattern.source, description, examples: [example] });
}

const uuidPattern = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
const exampleUuid = "0b1e6f3a-8a8e-4a53-9d5c-2f1f6b8f4c11";

/** The closed alphabet of what policy may use: site, ward, model, names. */
export function attribute(description: string, example: string) {
  return formed(/^[A-Za-z0-9_-]{1,64}$/, {
    code: "ERR_ATTRIBUTE",
    message: "has characters outside A-Z a-z 0-9 _ -",
    hint: "use 1 to 64 of them",
    description,
    example,
  });
}

export const deviceId = formed(new RegExp(`^${uuidPattern}$`), {
  code: "ERR_DEVICE_ID",
  message: "is not a uuid in lower case",
  hint: `write it like ${exampleUuid}, or leave it out for a new one`,
  description: "the device's uuid",
  example: exampleUuid,
});

export const subjectId = formed(
  new RegExp(`^(device:${uuidPattern}|service:[A-Za-z0-9_-]{1,64})$`),
  {
    code: "ERR_SUBJECT",
    message: "names no device or service",
    hint: "write device:UUID or service:NAME",
    description: "a device or a service",
    example: `device:${exampleUuid}`,
  },
);

export const tokenSubject = formed(/^(person|app):[A-Za-z0-9_-]{1,64}$/, {
  code: "ERR_SUBJECT",
  message: "names no person or app",
  hint: "write person:ID or app:ID as wardmq events shows it",
  description: "a person or an app that comes with tokens",
  example: "person:hospital_4f1c",
});

export const personSubject = formed(/^person:[A-Za-z0-9_-]{1,64}$/, {
  code: "ERR_SUBJECT",
  message: "names no person",
  hint: "write person:ID as wardmq events shows it",
  description: "a person who comes with tokens",
  example: "person:hospital_4f1c",
});

export const deviceSubject = formed(new RegExp(`^device:${uuidPattern}$`), {
  code: "ERR_SUBJECT",
  message: "names no device",
  hint: "write device:UUID",
  description: "a device",
  example: `device:${exampleUuid}`,
});

export const operatorId = formed(/^operator:[A-Za-z0-9_-]{1,64}$/, {
  code: "ERR_OPERATOR",
  message: "names no operator",
  hint: "write operator:NAME",
  description: "an operator",
  example: "operator:alice",
});

/** Text that is parsed later, such as PEM. */
export const longText = z.string().max(65_536);

export const milliseconds = z.int().meta({
  description: "milliseconds since 1970",
  examples: [1_800_000_000_000],
});

/** The arguments of a command that has none. */
export const nothing = z.strictObject({});
