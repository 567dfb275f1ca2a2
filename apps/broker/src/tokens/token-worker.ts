import { parentPort } from "node:worker_threads";
import { Revocations, verifyToken } from "@wardmq/tokens/verify";
import { giveWay } from "../thread-priority.ts";
import type { FromWorker, ToWorker } from "./token-judge.ts";

/** The thread that judges tokens: it holds public keys only, and gives back what a token grants or why it does not. */
let world: Extract<ToWorker, { type: "world" }> = {
  type: "world",
  org: "",
  issuers: [],
  mapping: [],
};
const revocations = new Revocations();

giveWay();

parentPort?.on("message", (message: ToWorker) => {
  if (message.type === "world") world = message;
  else if (message.type === "revoked") revocations.add(message.revocations, message.now);
  else void judge(message);
});

async function judge(question: Extract<ToWorker, { type: "question" }>): Promise<void> {
  const { id, token, now, fingerprint, username, introspected } = question;
  const { type: _, ...judgedBy } = world;
  let answer: FromWorker;
  try {
    const where = { ...judgedBy, revocations, now, fingerprint, username, introspected };
    answer = { id, verdict: await verifyToken(token, where) };
  } catch (error) {
    answer = { id, failure: error instanceof Error ? error.name : "unknown" };
  }
  parentPort?.postMessage(answer);
}
