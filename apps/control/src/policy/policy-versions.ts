import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type LocalSigner, syncFolder, writeNewFile } from "@wardmq/keys";
import type { PolicyFile } from "@wardmq/policy";
import { encodePem } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { readText } from "../files.ts";
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

/** Every version of the policy in a file of its own, signed with the key that signs the feed; none is ever changed. */
export class PolicyVersions {
  readonly #folder: string;
  readonly #signer: LocalSigner;
  readonly #keys: readonly KeyObject[];

  /** `formerKeys`, PEM, have signed versions before `signer` took over from them. */
  constructor(folder: string, signer: LocalSigner, formerKeys: readonly string[] = []) {
    this.#folder = folder;
    this.#signer = signer;
    const own = encodePem("PUBLIC KEY", signer.publicKey);
    this.#keys = [own, ...formerKeys].map((pem) => createPublicKey(pem));
  }

  /** The numbers of all versions, newest first. */
  numbers(): readonly number[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .flatMap((name) => /^(\d{6})\.json$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => b - a);
  }

  latest(): PolicyVersion | undefined {
    const [number] = this.numbers();
    return number === undefined ? undefined : this.read(number);
  }

  /** A version, if its signature is ours. */
  read(version: number): PolicyVersion {
    const path = this.#pathOf(version);
    if (!existsSync(path)) {
      throw new Failure("ERR_POLICY_VERSION", `there is no version ${version} of the policy`, {
        hint: "wardmq policy versions DIR lists them",
      });
    }
    const { body, signature } = parseDocument(readText(path), path);
    const signed = Buffer.concat([context, Buffer.from(body)]);
    const read = JSON.parse(body) as PolicyVersion;
    const octets = Buffer.from(signature, "base64");
    const isOurs = this.#keys.some((key) => verify(null, signed, key, octets));
    if (!isOurs || read.version !== version) {
      throw damaged(path);
    }
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
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const text = JSON.stringify({ body, signature: Buffer.from(signature).toString("base64") });
    writeNewFile(this.#pathOf(version.version), `${text}\n`, 0o600);
    syncFolder(this.#folder);
    return version;
  }

  #pathOf(version: number): string {
    return join(this.#folder, `${String(version).padStart(6, "0")}.json`);
  }
}

function parseDocument(text: string, path: string): { body: string; signature: string } {
  try {
    const { body, signature } = JSON.parse(text) as Record<string, unknown>;
    if (typeof body === "string" && typeof signature === "string") return { body, signature };
  } catch {
    // said below
  }
  throw damaged(path);
}

function damaged(path: string): Failure {
  return new Failure("ERR_POLICY_VERSION", `${path} is not as control has written it`, {
    hint: "restore it from a backup, or remove it",
  });
}
