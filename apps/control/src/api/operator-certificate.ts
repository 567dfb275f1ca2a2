import type { X509Certificate } from "node:crypto";
import type { Refusal } from "@wardmq/tls";
import type { Caller } from "../commands/handler.ts";
import { roleOf } from "../commands/operators.ts";
import { heldBy } from "../door/holder.ts";
import type { Registry } from "../registry/registry.ts";

/** The operator whose certificate this is, or the rule it fails: asked at the door, and again for every request. */
export function identifyOperator(
  registry: Registry,
  certificate: X509Certificate,
): Omit<Caller, "at"> | Refusal {
  const held = heldBy(registry, certificate);
  if ("check" in held) return held;
  if (held.kind !== "operator")
    return { check: "operator", why: "the certificate is not of an operator" };
  return { actor: held.id, role: roleOf(held) };
}
