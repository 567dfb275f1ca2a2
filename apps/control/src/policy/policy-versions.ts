import { createPublicKey, type KeyObject, verify } from "node:crypto";
import type { LocalSigner } from "@wardmq/keys";
import type { PolicyFile } from "@wardmq/policy";
import { encodePem } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import type { NumberedTexts } from "../files.ts";
import type { Doing } from "../registry/registry.ts";
import { digestOf } from "./policy-files.ts";

/** A policy that was in force, with who made it so and why. */
export interface PolicyVersion {
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly actor: string;
  readonly reason: string;
  readonly digest: string;
  readonly files: readonly PolicyFile[];
}

const context = Buffer.from("wardmq-policy\0");

/** Every version of the policy, signed with the key that signs the feed; none is ever changed. */
export class PolicyVersions {
  readonly #texts: NumberedTexts;
  readonly #signer: LocalSigner;
  readonly #keys: readonly KeyObject[];

  /** `formerKeys`, PEM, have signed versions before `signer` took over from them. */
  constructor(texts: NumberedTexts, signer: LocalSigner, formerKeys: readonly string[] = []) {
    this.#texts = texts;
    this.#signer = signer;
    const own = encodePem("PUBLIC KEY", signer.publicKey);
    this.#keys = [own, ...formerKeys].map((pem) => createPublicKey(pem));
  }

  /** The numbers of all versions, newest first. */
  numbers(): readonly number[] {
    return this.#texts.numbers();
  }

  latest(): PolicyVersion | undefined {
    const [number] = this.numbers();
    return number === undefined ? undefined : this.read(number);
  }

  /** A version, if its signature is ours. */
  read(version: number): PolicyVersion {
    if (!this.#texts.numbers().includes(version)) {
      throw new Failure("ERR_POLICY_VERSION", `there is no version ${version} of the policy`, {
        hint: "wardmq policy versions DIR lists them",
      });
    }
    const { body, signature } = parseDocument(this.#texts.read(version), version);
    const signed = Buffer.concat([context, Buffer.from(body)]);
    const read = JSON.parse(body) as PolicyVersion;
    const octets = Buffer.from(signature, "base64");
    const isOurs = this.#keys.some((key) => verify(null, signed, key, octets));
    if (!isOurs || read.version !== version) throw damaged(version);
    return read;
  }

  /** Keeps files as the newest version, unless they are that already. */
  record(files: readonly PolicyFile[], reason: string, { actor, at }: Doing): PolicyVersion {
    const latest = this.latest();
    const digest = digestOf(files);
    if (latest?.digest === digest) return latest;
    const version = { version: (latest?.version ?? 0) + 1, at, actor, reason, digest, files };
    const body = JSON.stringify(version);
    const signature = this.#signer.sign(Buffer.concat([context, Buffer.from(body)]));
    const text = JSON.stringify({ body, signature: Buffer.from(signature).toString("base64") });
    this.#texts.add(version.version, text);
    return version;
  }
}

function parseDocument(text: string, version: number): { body: string; signature: string } {
  try {
    const { body, signature } = JSON.parse(text) as Record<string, unknown>;
    if (typeof body === "string" && typeof signature === "string") return { body, signature };
  } catch {
    // said below
  }
  throw damaged(version);
}

function damaged(version: number): Failure {
  const what = `version ${version} of the policy is not as control has written it`;
  return new Failure("ERR_POLICY_VERSION", what, { hint: "restore it from a backup" });
}
