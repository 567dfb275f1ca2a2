import type { certificateCommands } from "@wardmq/commands";
import { issueToSubject } from "../ca/issuance.ts";
import type { HandlersOf } from "./handler.ts";

export const certificateHandlers: HandlersOf<typeof certificateCommands> = {
  credential: async (on, { subject, certificateRequest }, caller) => {
    const issued = await issueToSubject(on, subject, certificateRequest, caller);
    const { certificate, fingerprint, serialNumber, certificateChain, trustAnchors } = issued;
    const { notAfter } = certificate.validity;
    return {
      certificateChain,
      trustAnchors,
      certificate: { fingerprint, serialNumber, notAfter, state: "active" },
    };
  },
};
