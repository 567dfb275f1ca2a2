import { z } from "zod";

/** Who may call a command, each including the ones before it. */
export const roles = ["viewer", "operator", "security-officer"] as const;
export type Role = (typeof roles)[number];

/** What a caller is: `authenticated` has no role, `local` is the owner of the deployment's folder. */
export type CallerRole = "authenticated" | Role | "local";

export type Route = `${"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} /${string}`;

interface Described {
  /** One line: what it does. `--help`, the OpenAPI document and docs/api.md show it. */
  readonly summary: string;
  /** A strict object: an argument nobody knows is an error. */
  readonly arguments: z.ZodObject;
  readonly result: z.ZodType;
}

/** A command that only the owner of the deployment's folder may give, on its files or over its socket. */
interface LocalCommand extends Described {
  readonly role: "local";
}

/** A command that operators may give over HTTPS too. */
interface ApiCommand extends Described {
  /** The least role that may call it. */
  readonly role: Exclude<CallerRole, "local">;
  /** Arguments that the path names in braces are taken from it; of the others, GET and DELETE have a query, the rest a body. */
  readonly route: Route;
  /** It changes what everybody relies on: another security officer has to approve it first. */
  readonly approval?: "second-person";
  /** Its result is a secret: nobody keeps it, so asking twice with one idempotency key does not bring it back. */
  readonly isShownOnce?: true;
  /** Its result is a record, and comes with an ETag for the `ifMatch` of commands that change it. */
  readonly isRecord?: true;
}

export type CommandDefinition = LocalCommand | ApiCommand;
export type CommandTable = Readonly<Record<string, CommandDefinition>>;

/** What an argument is, with an example; undefined where the table says nothing. */
export function describeArgument(
  { arguments: { shape } }: CommandDefinition,
  name: string,
): string | undefined {
  const argument = Object.hasOwn(shape, name) ? shape[name] : undefined;
  if (argument === undefined) return undefined;
  const { description, examples: [example] = [] } = z.toJSONSchema(argument, { io: "input" });
  if (description === undefined || example === undefined) return description;
  return `${description}, such as ${JSON.stringify(example)}`;
}

/** Whether a caller of a role may give a command. The owner of the folder holds every key in it, so may give all. */
export function mayCall(role: CallerRole, command: CommandDefinition): boolean {
  if (role === "local") return true;
  return command.role !== "local" && rankOf(role) >= rankOf(command.role);
}

function rankOf(role: Exclude<CallerRole, "local">): number {
  return role === "authenticated" ? -1 : roles.indexOf(role);
}
