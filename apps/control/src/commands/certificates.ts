import type { Commands, certificateCommands } from "@wardmq/commands";
import type { Issued } from "../ca/issuance.ts";
import type { HandlersOf } from "./handler.ts";

export const certificateHandlers: HandlersOf<typeof certificateCommands> = {
  credential: async ({ issuance }, { subject, certificateRequest }, caller) =>
    credentialOf(await issuance.issue(subject, certificateRequest, caller)),
};

/** What a certificate's owner gets. */
export function credentialOf(issued: Issued): Commands["credential"]["result"] {
  const { certificate, fingerprint, serialNumber, certificateChain, trustAnchors } = issued;
  const { notAfter } = certificate.validity;
  return {
    certificateChain,
    trustAnchors,
    certificate: { fingerprint, serialNumber, notAfter, state: "active" },
  };
}
