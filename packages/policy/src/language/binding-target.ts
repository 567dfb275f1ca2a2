import { namePattern, type SubjectKind, uuidPattern } from "./policy.ts";

/** Whom a binding means: every subject of a kind, the one with this id, or the subjects of a group. */
export type BindingTarget =
  | { readonly kind: SubjectKind; readonly every: true }
  | { readonly kind: SubjectKind; readonly every: false; readonly id: string }
  | { readonly group: string };

const who = '"device:*", "device:<uuid>", "service:*", "service:<name>"';

/** `device:*`, `device:<uuid>`, `service:<name>`, `person:<name>`, `app:<name>`, `group:<name>` ...; else the hint what to write. */
export function parseBindingTarget(text: string): BindingTarget | { readonly hint: string } {
  const [, kind, name] = /^(device|service|person|app|group):(.*)$/s.exec(text) ?? [];
  if (kind === undefined || name === undefined) {
    return { hint: `write ${who}, "person:<name>", "app:<name>" or "group:<name>"` };
  }
  if (kind === "group") {
    return namePattern.test(name) ? { group: name } : { hint: "write the name of a group" };
  }
  const subject = kind as SubjectKind;
  if (name === "*") return { kind: subject, every: true };
  if (subject === "device" && !uuidPattern.test(name)) {
    const hint = "a device is named by its uuid in lower case, as `wardmq list` prints it";
    return { hint: `${hint}, or by * for every device` };
  }
  if (!namePattern.test(name)) {
    const hint = `a ${subject} is named by 1 to 64 letters, digits, _ or -`;
    return { hint: `${hint}, or by * for every ${subject}` };
  }
  return { kind: subject, every: false, id: text };
}
