import type { Stage } from "./stage.ts";

/**
 * One test of behaviour against the running broker, with the normative statements it proves, without their `MQTT-`.
 * It runs on each edition whose list is there; an empty list is a rule that has no number.
 */
export interface Case {
  readonly it: string;
  readonly v3?: readonly string[];
  readonly v5?: readonly string[];
  readonly run: (stage: Stage) => Promise<void>;
}

export const editions = [
  { name: "3.1.1", key: "v3", version: 4 },
  { name: "5.0", key: "v5", version: 5 },
] as const;

/** How a test is called in reports and in docs/conformance.md. */
export function testName(edition: string, area: string, it: string): string {
  return `${edition} ${area}: ${it}`;
}

/** Bytes that end the connection. */
export interface Refusal {
  readonly it: string;
  /** In the notation of `bytes`. */
  readonly send: string;
  /** The Reason Code on 5.0: of the DISCONNECT, or of the CONNACK where the bytes come first. */
  readonly code?: number;
  readonly v3?: readonly string[];
  readonly v5?: readonly string[];
}

/** Cases of bytes that an accepted client sends. */
export function refusals(rows: readonly Refusal[]): Case[] {
  return rows.map(({ send, code = 0x81, ...row }) => ({
    ...row,
    run: async (stage) => {
      const client = await stage.connect();
      client.send(send);
      await client.expectRefusal(code);
    },
  }));
}

/** Cases of bytes in place of a good CONNECT: a CONNACK with the code, or no answer at all, and the end. */
export function connectRefusals(
  rows: readonly (Omit<Refusal, "code"> & {
    readonly code?: number;
    /** The 3.1.1 Connect Return Code, where it has one. */
    readonly returnCode?: number;
    readonly as?: string;
  })[],
): Case[] {
  return rows.map(({ send, code, returnCode, as, ...row }) => ({
    ...row,
    run: async (stage) => {
      const client = await stage.open(as === undefined ? {} : { as });
      client.send(send);
      const expected = stage.version === 5 ? code : returnCode;
      if (expected !== undefined) {
        const connack = await client.nextBytes();
        const want = `20 00 ${expected.toString(16).padStart(2, "0")}`;
        const got = `${hex(connack, 0)} ${hex(connack, 2)} ${hex(connack, 3)}`;
        if (got !== want) throw new Error(`expected ${want}, received ${got}`);
      }
      await client.expectEnd();
    },
  }));
}

function hex(bytes: Buffer, at: number): string {
  return (bytes[at] ?? 0).toString(16).padStart(2, "0");
}
