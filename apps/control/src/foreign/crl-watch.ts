import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { ForeignCaSummary } from "@wardmq/commands";
import type { SecurityEvent } from "@wardmq/events";
import { replaceFile } from "@wardmq/keys";
import type { Certificate, CertificateList } from "@wardmq/x509";
import { Failure } from "../failure.ts";
import { acceptCrl, CrlRefused } from "./accept-crl.ts";
import {
  type CrlSource,
  CrlUnavailable,
  maximumCrlBytes,
  readCrl,
  refuseSource,
  stampOf,
} from "./crl-source.ts";

/** Whose CRL is watched. */
export interface Watched {
  readonly name: string;
  readonly ca: Certificate;
  readonly source: CrlSource;
}

export type Freshness = "fresh" | "ageing" | "stale";

export interface CrlStatus {
  readonly freshness: Freshness;
  /** Absent before the first one. */
  readonly list: CertificateList | undefined;
  /** Milliseconds since 1970, of the last time that one was read and taken. */
  readonly readAt: number | undefined;
  /** Why the last reading came to nothing. */
  readonly failure: string | undefined;
}

export interface CrlWatchParts {
  /** What is watched, in words: `foreign CA` or `manufacturer`. */
  readonly kind: string;
  /** Where the last good one outlives control. */
  readonly pathOf: (name: string) => string;
  readonly read?: (source: CrlSource) => Promise<Uint8Array>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly record: (event: Omit<SecurityEvent, "at">) => void;
  /** `look` has found a newer CRL of this one, which counts from now on. */
  readonly changed: (name: string) => void;
}

interface Followed {
  readonly watched: Watched;
  bytes: number;
  /** Of the file that was read last. */
  stamp: string | undefined;
  list: CertificateList | undefined;
  readAt: number | undefined;
  failure: string | undefined;
  /** How often it failed in a row. */
  failures: number;
  nextReadAt: number;
  /** The last alarm, so that each is raised once. */
  said: Freshness;
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
/** A file costs nothing to look at; an address is asked each tenth of the CRL's life, between the two others. */
const fileMs = 2 * secondMs;
const firstRetryMs = 5 * secondMs;
const leastMs = 30 * secondMs;
const mostMs = 60 * minuteMs;

/**
 * Keeps the CRLs of other CAs, each:
 *
 *     none --read, signed, not older than before--> fresh --half of its life--> ageing (alarm) --nextUpdate--> stale (alarm)
 *       what can not be read or taken changes nothing: it is tried again, ever more slowly
 */
export class CrlWatch {
  readonly #parts: CrlWatchParts;
  readonly #followed = new Map<string, Followed>();

  constructor(parts: CrlWatchParts) {
    this.#parts = parts;
  }

  /** Follows one more whose CRL can be read now; throws, and follows nothing, where it can not. */
  async begin(watched: Watched): Promise<void> {
    const { name, source } = watched;
    const wrong = refuseSource(source);
    if (wrong !== undefined) {
      throw new Failure("ERR_CRL", wrong, { hint: "write /path/to/ca.crl or http://host/ca.crl" });
    }
    this.follow(watched);
    const { failure } = await this.refresh(name);
    if (failure === undefined) return;
    this.forget(name);
    throw new Failure("ERR_CRL", `the CRL of ${name} was not taken: ${failure}`, {
      hint: "nobody of a CA without a fresh CRL gets in",
    });
  }

  /** Follows one more, from the CRL that was kept of it. */
  follow(watched: Watched): void {
    const followed: Followed = {
      watched,
      bytes: 0,
      stamp: undefined,
      list: undefined,
      readAt: undefined,
      failure: undefined,
      failures: 0,
      nextReadAt: 0,
      said: "fresh",
    };
    this.#followed.set(watched.name, followed);
    const path = this.#parts.pathOf(watched.name);
    if (!existsSync(path)) return;
    try {
      this.#accept(followed, new Uint8Array(readFileSync(path)), undefined);
    } catch (error) {
      if (!(error instanceof CrlRefused)) throw error; // damaged: it is read again
    }
  }

  forget(name: string): void {
    this.#followed.delete(name);
    rmSync(this.#parts.pathOf(name), { force: true });
  }

  status(name: string): CrlStatus {
    const followed = this.#followed.get(name);
    const { list, readAt, failure } = followed ?? {};
    return { freshness: this.#freshnessOf(list), list, readAt, failure };
  }

  /** Whether this one's CRL lists the serial number (lower-case hex), or says nothing because it is too old. */
  refuses(name: string, serialNumber: string): "revoked" | "stale" | undefined {
    const { freshness, list } = this.status(name);
    if (freshness === "stale" || list === undefined) return "stale";
    return list.revokedSerialNumbers.includes(serialNumber) ? "revoked" : undefined;
  }

  /** Reads what is due and raises the alarms that are: called every few seconds. */
  async look(): Promise<void> {
    const now = this.#parts.now();
    const due = [...this.#followed.values()].filter(
      ({ nextReadAt, stamp, watched }) =>
        nextReadAt <= now && (stamp === undefined || stamp !== stampOf(watched.source)),
    );
    await Promise.all(
      due.map(async ({ watched: { name } }) => {
        const { isNew } = await this.refresh(name);
        if (isNew) this.#parts.changed(name);
      }),
    );
    for (const followed of this.#followed.values()) this.#alarm(followed);
  }

  /** Reads the CRL now; tells whether another one counts from here on, and else why that came to nothing. */
  async refresh(name: string): Promise<{ readonly isNew: boolean; readonly failure?: string }> {
    const followed = this.#followed.get(name);
    if (followed === undefined) return { isNew: false };
    const { watched } = followed;
    const { now, record } = this.#parts;
    followed.nextReadAt = now() + mostMs; // not again while it is read
    try {
      const stamp = stampOf(watched.source);
      const der = await (this.#parts.read ?? readCrl)(watched.source);
      if (this.#followed.get(name) !== followed) return { isNew: false }; // forgotten meanwhile
      const before = followed.list;
      this.#accept(followed, der, now());
      followed.stamp = stamp;
      this.#plan(followed);
      if (isSame(before, followed.list)) return { isNew: false };
      const path = this.#parts.pathOf(name);
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      replaceFile(path, der, 0o600);
      const { crlNumber = -1, revokedSerialNumbers, nextUpdate } = followed.list as CertificateList;
      const details = { number: crlNumber, revoked: revokedSerialNumbers.length, nextUpdate };
      record({ type: "crl-read", subject: `${this.#parts.kind} ${name}`, details });
      return { isNew: true };
    } catch (error) {
      if (!(error instanceof CrlUnavailable || error instanceof CrlRefused)) throw error;
      this.#failed(followed, error);
      return { isNew: false, failure: error.message };
    }
  }

  /** `now` is undefined for one that was kept. */
  #accept(followed: Followed, der: Uint8Array, now: number | undefined): void {
    const others = [...this.#followed.values()].filter((one) => one !== followed);
    const bytes = others.reduce((sum, one) => sum + one.bytes, der.length);
    if (bytes > maximumCrlBytes) {
      throw new CrlRefused("size", `all CRLs together are over ${maximumCrlBytes} bytes`);
    }
    const { watched, list: former } = followed;
    followed.list = acceptCrl(der, { issuer: watched.ca, former, now });
    followed.bytes = der.length;
    followed.readAt = now;
    followed.failure = undefined;
    followed.failures = 0;
  }

  #failed(followed: Followed, error: CrlUnavailable | CrlRefused): void {
    const { message: why } = error;
    const check = error instanceof CrlRefused ? error.check : "source";
    if (followed.failure !== why) {
      const subject = `${this.#parts.kind} ${followed.watched.name}`;
      this.#parts.record({ type: "crl-refused", subject, check, why });
    }
    followed.failure = why;
    followed.failures += 1;
    this.#plan(followed);
  }

  #plan(followed: Followed): void {
    const { list, watched, failures } = followed;
    const life = list === undefined ? 0 : list.nextUpdate - list.thisUpdate;
    const isFile = !watched.source.includes("://");
    const usual = isFile ? fileMs : Math.min(mostMs, Math.max(leastMs, life / 10));
    const backOff =
      failures === 0 ? usual : Math.min(usual, firstRetryMs * 2 ** Math.min(failures, 10));
    followed.nextReadAt = this.#parts.now() + backOff;
  }

  #alarm(followed: Followed): void {
    const { list, watched, failure } = followed;
    if (list === undefined && failure === undefined) return; // it is being read for the first time
    const freshness = this.#freshnessOf(list);
    if (freshness === followed.said) return;
    followed.said = freshness;
    if (freshness === "fresh") return;
    const what =
      freshness === "stale" ? "is too old: nobody of it gets in" : "has half of its life behind it";
    const because = failure === undefined ? "no newer one was published" : failure;
    this.#parts.record({
      type: "crl-stale",
      subject: `${this.#parts.kind} ${watched.name}`,
      check: freshness,
      why: `the CRL ${what}; ${because}`,
      ...(list === undefined ? {} : { details: { nextUpdate: list.nextUpdate } }),
    });
  }

  #freshnessOf(list: CertificateList | undefined): Freshness {
    const now = this.#parts.now();
    if (list === undefined || list.nextUpdate <= now) return "stale";
    return now * 2 > list.thisUpdate + list.nextUpdate ? "ageing" : "fresh";
  }
}

/** The state of a CRL as results show it. */
export function crlSummary(
  source: CrlSource,
  { freshness, list, readAt, failure }: CrlStatus,
): ForeignCaSummary["crl"] {
  return {
    source,
    freshness,
    ...(list === undefined
      ? {}
      : {
          thisUpdate: list.thisUpdate,
          nextUpdate: list.nextUpdate,
          revoked: list.revokedSerialNumbers.length,
          ...(list.crlNumber === undefined ? {} : { crlNumber: list.crlNumber }),
        }),
    ...(readAt === undefined ? {} : { readAt }),
    ...(failure === undefined ? {} : { failure }),
  };
}

function isSame(one: CertificateList | undefined, other: CertificateList | undefined): boolean {
  return (
    one !== undefined &&
    other !== undefined &&
    Buffer.compare(one.tbsCertList, other.tbsCertList) === 0
  );
}
