import { z } from "zod";
import { attribute, milliseconds } from "./forms.ts";

/** The states of a record; docs/registry.md shows the ways between them. */
export const subjectStates = ["registered", "active", "quarantined", "retired", "revoked"] as const;

/** Text for people: no control characters, nothing invisible, no blanks at its ends. */
const freeText = (description: string, example: string) =>
  z
    .string()
    .regex(/^(?! )[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,128}(?<! )$/u)
    .meta({ description, examples: [example] });

/** One line for people, longer than a name. */
export const sentence = (description: string, example: string) =>
  z
    .string()
    .regex(/^(?! )[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,500}(?<! )$/u)
    .meta({ description, examples: [example] });

export const reason = sentence(
  "why, one line of up to 500 visible characters: it stands in the history",
  "lost",
);

/** In the header If-Match: a change is done only while the record is the one that was looked at. */
export const ifMatch = z
  .string()
  .regex(/^(\*|"[\x21\x23-\x7e]{1,100}")$/)
  .exactOptional()
  .meta({ description: "the ETag of the record that is to be changed", examples: ['"0f3a"'] });

const tag = attribute("a tag", "loaner");
export const tags = z
  .array(tag)
  .max(16)
  .meta({ description: "words to find it by", examples: [["loaner"]] });

/** What may be said of a device. */
export const texts = {
  org: attribute("its tenant, one that the policy names", "hospital-2"),
  site: attribute("where it stands: the site", "main"),
  ward: attribute("where it stands: the ward", "icu"),
  model: attribute("its model, for the policy", "bsm-100"),
  maker: freeText("who made it", "Acme Medical"),
  serial: freeText("the serial number its maker gave it", "SN 0001/26"),
  owner: freeText("whose it is", "Biomedical Engineering"),
};

/** What the record of a device says: `add` and `import` take the same. */
export const deviceFields = {
  org: texts.org.exactOptional(),
  site: texts.site,
  ward: texts.ward,
  model: texts.model.exactOptional(),
  maker: texts.maker.exactOptional(),
  serial: texts.serial.exactOptional(),
  owner: texts.owner.exactOptional(),
  tags: tags.exactOptional(),
};

/** A text that may be changed, or taken away with null. */
export const edit = <Field extends z.ZodType>(field: Field) =>
  z.union([field, z.null()]).exactOptional();

/** What a search may ask for; all that is there has to be true. */
export const query = {
  kind: z.enum(["device", "service"]).exactOptional(),
  state: z.enum(subjectStates).exactOptional(),
  org: texts.org.exactOptional(),
  site: texts.site.exactOptional(),
  ward: texts.ward.exactOptional(),
  model: texts.model.exactOptional(),
  maker: texts.maker.exactOptional(),
  serial: texts.serial.exactOptional(),
  owner: texts.owner.exactOptional(),
  tag: tag.exactOptional(),
  prefix: z
    .string()
    .min(1)
    .max(128)
    .exactOptional()
    .meta({ description: "what the uuid, the name or the maker's serial number begins with" }),
  expiringBefore: milliseconds.exactOptional(),
  ca: z
    .string()
    .regex(/^[0-9a-f]{40}$/)
    .exactOptional()
    .meta({ description: "has an active certificate of the CA with this key identifier" }),
};

/** Who is meant by a command for many: all that every one of these is true of. At least one has to be there. */
export const selection = {
  kind: query.kind,
  org: query.org,
  site: query.site,
  ward: query.ward,
  model: query.model,
  tag: query.tag,
  ca: query.ca,
};

/** What came of it, and what each broker did. */
export const effect = z.strictObject({
  subjects: z.int().meta({ description: "how many it changed" }),
  certificatesRevoked: z.int(),
  brokers: z
    .array(
      z.strictObject({
        connectionsClosed: z.int(),
        sessionsEnded: z.int(),
        messagesWithheld: z.int().meta({ description: "that waited in the sessions that ended" }),
        milliseconds: z.number().meta({ description: "from receipt in the broker to its end" }),
        confirmedMs: z.number().meta({ description: "from the command to the broker's answer" }),
      }),
    )
    .meta({ description: "one for each broker that was connected; empty when none runs" }),
  unconfirmed: z.int().exactOptional().meta({
    description: "brokers that were connected but did not confirm in time; absent when all did",
  }),
});
