/** A normative statement: its number, what it says in our words, and why it does not apply to us where no test can. */
export type Statement = readonly [id: string, says: string, notApplicable?: string];

/** Reasons that stand in many rows. */
export const reasons = {
  client: "a duty of the client that the server cannot see or test",
  allQoS: "the server supports every QoS and says so by sending no Maximum QoS",
  retained: "the server supports retained messages and says so by sending no Retain Available",
  noUserProperties: "the server adds no User Property of its own to any packet",
  noAuth: "the server has no authentication method, so it never sends AUTH",
} as const;
