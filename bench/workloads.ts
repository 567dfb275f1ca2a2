import type { FloodLoad } from "./flooded.ts";
import { type LoadResult, numberAt } from "./generator.ts";

/** A figure of a workload: where it stands in the generator's result, and what is asked of it. */
export interface Figure {
  readonly key: string;
  readonly label: string;
  /** Digits behind the point. */
  readonly digits: number;
  readonly of: (result: LoadResult) => number;
  /** What WardMQ on Bun has to reach. */
  readonly asked?: Asked;
}

/** A bound of the figure itself, or of its ratio to the figure of Mosquitto in the same run. */
export type Asked = { readonly of: "ratio" | "value" } & (
  | { readonly atLeast: number }
  | { readonly atMost: number }
);

export interface Workload {
  readonly name: string;
  readonly summary: string;
  /** Options of the load generator besides the address and the credentials. */
  readonly words: readonly string[];
  /** The generator's workload, where it has another name. */
  readonly load?: string;
  /** It logs in with an access token, which Mosquitto does not take. */
  readonly withToken?: true;
  /** It is measured alone and beside a flood of bad tokens, in turn on one broker. */
  readonly besideFlood?: FloodLoad;
  /** How many times `--seconds` it measures. */
  readonly lengthFactor: number;
  readonly figures: readonly Figure[];
}

function figure(key: string, label: string, digits: number, asked?: Figure["asked"]): Figure {
  return {
    key,
    label,
    digits,
    of: (result) => numberAt(result, key),
    ...(asked === undefined ? {} : { asked }),
  };
}

/** A figure that only a broker with our journal has. */
function ofJournal(key: string, label: string, digits: number, asked?: Asked): Figure {
  const of = (result: LoadResult) => Number(result[key] ?? Number.NaN);
  return { key, label, digits, of, ...(asked === undefined ? {} : { asked }) };
}

const cpuPerMessage = figure("brokerCpuMicrosPerMessage", "CPU us per message in or out", 2);

const p99Figures: readonly Figure[] = [
  figure("aloneP99", "ward's p99 ms alone", 3),
  figure("sinkP99", "beside the flood at the sink", 3),
  figure("brokerP99", "beside the flood at the broker", 3),
  figure("p99Factor", "the last by the first", 2, { of: "value", atMost: 2 }),
  figure("p99FactorOfSink", "the last by the second", 2),
];

/** Everything the benchmark measures, one row each; `asked` are the thresholds WardMQ sets itself. */
export const workloads: readonly Workload[] = [
  {
    name: "fanout",
    summary: "saturated fan-out 1 -> 100, QoS 0, 64 B",
    words: [],
    lengthFactor: 1,
    figures: [
      figure("outPerSecond", "deliveries/s", 0, { of: "ratio", atLeast: 8 }),
      cpuPerMessage,
    ],
  },
  {
    name: "pairs",
    summary: "100 pairs, QoS 1, window 10, 64 B",
    words: [],
    lengthFactor: 1,
    figures: [figure("outPerSecond", "messages/s", 0, { of: "ratio", atLeast: 4 }), cpuPerMessage],
  },
  {
    name: "fanin",
    summary: "fan-in 50 -> 1, QoS 1 in with window 20, QoS 0 reader, 64 B",
    words: [],
    lengthFactor: 1,
    figures: [figure("outPerSecond", "messages/s", 0, { of: "ratio", atLeast: 10 }), cpuPerMessage],
  },
  {
    name: "durable",
    summary:
      "100 publishers, QoS 1, window 20, 900 B, to 20 durable sessions, two a topic, one of them away; Mosquitto with persistence, which acknowledges before it writes",
    words: [],
    lengthFactor: 1,
    figures: [
      figure("durablePerSecond", "messages/s", 0, { of: "value", atLeast: 40_000 }),
      figure("latencyMs.p99", "PUBACK p99 ms", 1),
      figure("writtenBytesPerMessage", "bytes written per message", 0),
      cpuPerMessage,
      ofJournal("fsyncsPerSecond", "commits/s, one fsync each", 0),
      ofJournal("appendLimitPerSecond", "the limit: append and fdatasync, messages/s", 0),
      ofJournal("shareOfLimit", "share of the limit", 2, { of: "value", atLeast: 0.3 }),
    ],
  },
  {
    name: "ward",
    summary: "200 devices with own certificates, 2,000 msg/s of 900 B, QoS 1, 4 wildcard readers",
    // A broker runs for months: what the just-in-time compiler does in its first seconds is not measured.
    words: ["--warmup", "10"],
    lengthFactor: 2,
    figures: [
      figure("brokerCpuMicrosPerMessage", "CPU us per message in or out", 2, {
        of: "ratio",
        atMost: 1,
      }),
      figure("latencyMs.p50", "latency p50 ms", 3),
      figure("latencyMs.p99", "latency p99 ms", 3, { of: "ratio", atMost: 1.2 }),
      figure("latencyMs.p999", "latency p99.9 ms", 3),
    ],
  },
  {
    name: "connect",
    summary: "mutual TLS 1.3 full handshakes with MQTT CONNECT, 16 at a time",
    words: ["--warmup", "5"],
    lengthFactor: 1,
    figures: [
      figure("connectsPerSecond", "connects/s", 0),
      figure("brokerCpuMsPerConnect", "CPU ms per connect", 3, { of: "ratio", atMost: 0.6 }),
      // What WardMQ's other process does meanwhile: it records an event for each connect.
      {
        key: "besideCpuMsPerConnect",
        label: "control: CPU ms per connect",
        digits: 3,
        of: (result) => Number(result["besideCpuMsPerConnect"] ?? Number.NaN),
      },
    ],
  },
  {
    name: "token",
    summary: "TLS 1.3 full handshakes and MQTT CONNECT with an access token (ES256), 16 at a time",
    words: ["--warmup", "5"],
    load: "connect",
    withToken: true,
    lengthFactor: 1,
    figures: [
      figure("connectsPerSecond", "connects/s", 0),
      figure("brokerCpuMsPerConnect", "CPU ms per connect, all threads", 3),
    ],
  },
  {
    name: "flood",
    summary:
      "the ward beside 5,000 tokens a second with a bad signature from 1,000 connections, at a sink and at the broker",
    words: ["--warmup", "10"],
    load: "ward",
    besideFlood: "flood",
    lengthFactor: 1,
    figures: [
      ...p99Figures,
      figure("sentPerSecond", "bad tokens/s sent", 0),
      figure("sinkSentPerSecond", "bad tokens/s sent to the sink", 0),
      figure("cpuMicros", "broker CPU us per bad token", 1),
    ],
  },
  {
    name: "connect-flood",
    summary:
      "the ward beside CONNECTs with such a token from 1,000 addresses, as many as can be made up to 5,000 a second, at a sink and at the broker",
    words: ["--warmup", "10"],
    load: "ward",
    besideFlood: "connect-flood",
    lengthFactor: 1,
    figures: [
      ...p99Figures,
      figure("openedPerSecond", "connections/s opened", 0),
      figure("shedPerSecond", "closed before CONNECT, /s", 0),
      figure("sentPerSecond", "CONNECTs/s sent", 0),
      figure("refusedPerSecond", "refused by CONNACK, /s", 0),
      figure("closedPerSecond", "closed without one, /s", 0),
      figure("waitingAtEnd", "no answer yet at the end", 0),
      figure("sinkSentPerSecond", "CONNECTs/s sent to the sink", 0),
      figure("cpuMicros", "broker CPU us per CONNECT", 0),
    ],
  },
  {
    name: "idle",
    summary: "2,000 idle mutual TLS connections",
    words: [],
    lengthFactor: 0,
    figures: [
      figure("rssKbPerConnection", "kB per connection (RSS)", 1, { of: "ratio", atMost: 0.7 }),
      figure("pssKbPerConnection", "kB per connection (PSS)", 1),
    ],
  },
  {
    name: "slow-reader",
    summary: "fan-out 1 -> 20 of 1 kB, then one more reader stops reading",
    words: [],
    lengthFactor: 1,
    figures: [
      {
        key: "growthMB",
        label: "RSS growth MB",
        digits: 1,
        of: growthMB,
        // limits.queuedBytes is 8 MB for each session; heaps grow in coarse steps. Without a bound it would be hundreds.
        asked: { of: "value", atMost: 32 },
      },
      figure("othersKept", "others keep (1 = all of their rate)", 2, { of: "value", atLeast: 0.8 }),
    ],
  },
];

function growthMB(result: LoadResult): number {
  const [before = Number.NaN, after = Number.NaN] = result["peakRssKb"] as readonly number[];
  return (after - before) / 1024;
}
