import { printable } from "@wardmq/events";
import type { Option, Value } from "./options.ts";

/** What is wrong with a value and what to write instead, or the value itself. */
export type Checked =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly message: string; readonly hint: string };

/** Checks one plain value, as YAML gave it, against its option's row. */
export function checkValue({ type, key, unit }: Option, value: unknown): Checked {
  switch (type.kind) {
    case "integer": {
      const range = `a whole number from ${type.minimum} to ${type.maximum}${unit ? ` (${unit})` : ""}`;
      if (typeof value !== "number" || !Number.isSafeInteger(value)) {
        return refuse(
          `expected ${range}, found ${describe(value)}`,
          `write digits, such as ${type.maximum}`,
        );
      }
      const inRange = value >= type.minimum && value <= type.maximum;
      return inRange ? { ok: true, value } : refuse(`${value} is out of range`, `write ${range}`);
    }
    case "choice": {
      const known = type.values.find((choice) => choice === value);
      if (known !== undefined) return { ok: true, value: known };
      const choices = type.values.join(" or ");
      return refuse(`expected ${choices}, found ${describe(value)}`, `write ${choices}`);
    }
    case "text":
      if (typeof value !== "string") {
        return refuse(
          `expected ${type.form.name}, found ${describe(value)}`,
          quoteHint(value, type.form.hint),
        );
      }
      return type.form.accepts(value)
        ? { ok: true, value }
        : refuse(`${describe(value)} is not ${type.form.name}`, type.form.hint);
    case "list": {
      if (!Array.isArray(value)) {
        return refuse(
          `expected a list, found ${describe(value)}`,
          `write ${key}: [..], or one item a line after "- "`,
        );
      }
      if (value.length < type.minimum) {
        return refuse(`needs at least ${type.minimum} item`, type.form.hint);
      }
      const wrong = value.find((item) => typeof item !== "string" || !type.form.accepts(item));
      if (wrong !== undefined)
        return refuse(`${describe(wrong)} is not ${type.form.name}`, type.form.hint);
      const twice = value.find((item, i) => value.indexOf(item) !== i);
      if (twice !== undefined)
        return refuse(`${describe(twice)} is named twice`, "leave one of them out");
      return { ok: true, value };
    }
  }
}

function refuse(message: string, hint: string): Checked {
  return { ok: false, message, hint };
}

function quoteHint(value: unknown, hint: string): string {
  const scalar = typeof value === "number" || typeof value === "boolean";
  return scalar ? `put it in quotes if it is meant as text: "${value}"` : hint;
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string") return `"${printable(value, 80)}"`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a group of keys";
  return String(value);
}
