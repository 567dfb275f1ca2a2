import { namePattern, uuidPattern } from "./policy.ts";

/** Whom a binding means: every subject of a kind, or the one with this id. */
export type BindingTarget =
  | { readonly kind: "device" | "service"; readonly every: true }
  | { readonly kind: "device" | "service"; readonly every: false; readonly id: string };

/** `device:*`, `device:<uuid>`, `service:*` or `service:<name>`; anything else is the hint what to write. */
export function parseBindingTarget(text: string): BindingTarget | { readonly hint: string } {
  const [, kind, name] = /^(device|service):(.*)$/s.exec(text) ?? [];
  if ((kind !== "device" && kind !== "service") || name === undefined) {
    return { hint: 'write "device:*", "device:<uuid>", "service:*" or "service:<name>"' };
  }
  if (name === "*") return { kind, every: true };
  if (kind === "device" && !uuidPattern.test(name)) {
    const hint = "a device is named by its uuid in lower case, as `wardmq list` prints it";
    return { hint: `${hint}, or by * for every device` };
  }
  if (!namePattern.test(name)) {
    const hint = "a service is named by 1 to 64 letters, digits, _ or -";
    return { hint: `${hint}, or by * for every service` };
  }
  return { kind, every: false, id: text };
}
