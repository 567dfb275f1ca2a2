/** What happens at one limit. Its default comes from @wardmq/config, its tests are those whose name begins with its key. */
export interface LimitRow {
  /** Under `limits` in wardmq.yaml. */
  readonly key: string;
  readonly bounds: string;
  /** What the peer is answered: in both editions, or in each. */
  readonly answer: string | { readonly v5: string; readonly v3: string };
  /** The event that names the limit, or why there is none. */
  readonly event: string;
  readonly file: string;
}

const shed = "closed before TLS";
const refusedConnect = { v5: "CONNACK 0x97", v3: "CONNACK 3" };
const slower = "none: it is read more slowly, nothing is dropped";
const oldestGoes = "none to the publisher: the oldest of the least important are dropped";
const toldOnly = "none: nothing is refused";

/** One row a limit, in the order of packages/config. */
export const limitRows: readonly LimitRow[] = [
  {
    key: "connections",
    bounds: "open connections in all",
    answer: shed,
    event: "`connection-shed`",
    file: "admission",
  },
  {
    key: "connectionsPerAddress",
    bounds: "open connections of one IP address (IPv6: one /64)",
    answer: shed,
    event: "`connection-shed`",
    file: "admission",
  },
  {
    key: "connectionsPerSubject.device",
    bounds: "open connections of one device",
    answer: {
      v5: "the former one DISCONNECT 0x8E; another client id CONNACK 0x85",
      v3: "the former one closed; another client id CONNACK 2",
    },
    event: "`session-taken-over`, `connect-refused`",
    file: "subjects",
  },
  {
    key: "connectionsPerSubject.service",
    bounds: "open connections of one service",
    answer: refusedConnect,
    event: "`connect-refused`",
    file: "subjects",
  },
  {
    key: "connectionsPerSubject.person",
    bounds: "open connections of one person",
    answer: refusedConnect,
    event: "`connect-refused`",
    file: "../../apps/broker/test/token",
  },
  {
    key: "sessionsPerSubject.device",
    bounds: "sessions of one device",
    answer: "none can be beyond: its client id is its uuid",
    event: "none",
    file: "subjects",
  },
  {
    key: "sessionsPerSubject.service",
    bounds: "sessions of one service, when one more would be kept",
    answer: refusedConnect,
    event: "`connect-refused`",
    file: "subjects",
  },
  {
    key: "sessionsPerSubject.person",
    bounds: "sessions of one person, when one more would be kept",
    answer: refusedConnect,
    event: "`connect-refused`",
    file: "../../apps/broker/test/token",
  },
  {
    key: "acceptsPerSecond",
    bounds: "connections accepted in a second",
    answer: shed,
    event: "`connection-shed`",
    file: "admission",
  },
  {
    key: "handshakes",
    bounds: "TLS handshakes at once",
    answer: `${shed}: a stranger first, never for a stranger's sake an address of a subject`,
    event: "`connection-shed`",
    file: "admission",
  },
  {
    key: "connectTimeoutMs",
    bounds: "the time from accept to a whole CONNECT",
    answer: "closed",
    event: "`handshake-refused`, `connect-refused`",
    file: "before-connect",
  },
  {
    key: "preAuthBytes",
    bounds: "what a peer may send in its handshake, and in its CONNECT",
    answer: "closed",
    event: "`handshake-refused`, `protocol-error`",
    file: "before-connect",
  },
  {
    key: "preAuthBytesTotal",
    bounds: "what all unfinished CONNECTs hold",
    answer: "closed",
    event: "`connect-refused`",
    file: "before-connect",
  },
  {
    key: "packetBytes",
    bounds: "one packet",
    answer: { v5: "DISCONNECT 0x95", v3: "closed" },
    event: "`protocol-error`",
    file: "packets",
  },
  {
    key: "clientIdBytes",
    bounds: "a client identifier",
    answer: { v5: "CONNACK 0x85", v3: "CONNACK 2" },
    event: "`connect-refused`",
    file: "packets",
  },
  {
    key: "topicBytes",
    bounds: "a Topic Name or Topic Filter",
    answer: {
      v5: "PUBACK, PUBREC, CONNACK 0x90; SUBACK 0x8F; QoS 0 is dropped",
      v3: "closed; SUBACK 0x80; QoS 0 is dropped",
    },
    event: "`limit-reached`, of a will `connect-refused`",
    file: "packets",
  },
  {
    key: "topicLevels",
    bounds: "levels of a Topic Name or Topic Filter",
    answer: {
      v5: "PUBACK, PUBREC, CONNACK 0x90; SUBACK 0x8F; QoS 0 is dropped",
      v3: "closed; SUBACK 0x80; QoS 0 is dropped",
    },
    event: "`limit-reached`, of a will `connect-refused`",
    file: "packets",
  },
  {
    key: "subscriptions",
    bounds: "subscriptions of one session",
    answer: { v5: "SUBACK 0x97", v3: "SUBACK 0x80" },
    event: "`limit-reached`",
    file: "packets",
  },
  {
    key: "inflight",
    bounds: "unacknowledged QoS 1 and 2 messages, each way",
    answer: {
      v5: "out: the rest waits; in: DISCONNECT 0x93",
      v3: "out: the rest waits; in: closed beyond 16 times as many QoS 2 messages",
    },
    event: "`protocol-error`",
    file: "packets",
  },
  {
    key: "queuedMessages",
    bounds: "messages that wait for one session",
    answer: oldestGoes,
    event: "`messages-dropped`",
    file: "queues",
  },
  {
    key: "queuedBytes",
    bounds: "what waits for one session, sent and unacknowledged included where it is kept",
    answer: oldestGoes,
    event: "`messages-dropped`",
    file: "queues",
  },
  {
    key: "queuedBytesTotal",
    bounds: "what waits for all sessions",
    answer: oldestGoes,
    event: "`messages-dropped`",
    file: "queues",
  },
  {
    key: "messagesPerSecond.device",
    bounds: "messages taken from one connection of a device",
    answer: slower,
    event: "none",
    file: "rates",
  },
  {
    key: "messagesPerSecond.service",
    bounds: "messages taken from one connection of a service",
    answer: slower,
    event: "none",
    file: "rates",
  },
  {
    key: "messagesPerSecond.person",
    bounds: "messages taken from one connection of a person",
    answer: slower,
    event: "none",
    file: "../../apps/broker/test/token",
  },
  {
    key: "bytesPerSecond.device",
    bounds: "bytes taken from one connection of a device",
    answer: slower,
    event: "none",
    file: "rates",
  },
  {
    key: "bytesPerSecond.service",
    bounds: "bytes taken from one connection of a service",
    answer: slower,
    event: "none",
    file: "rates",
  },
  {
    key: "bytesPerSecond.person",
    bounds: "bytes taken from one connection of a person",
    answer: slower,
    event: "none",
    file: "../../apps/broker/test/token",
  },
  {
    key: "userProperties",
    bounds: "User Properties of one packet",
    answer: { v5: "DISCONNECT or CONNACK 0x97", v3: "has none" },
    event: "`protocol-error`, `connect-refused`",
    file: "packets",
  },
  {
    key: "keepAliveSeconds.min",
    bounds: "the shortest keep alive",
    answer: { v5: "Server Keep Alive", v3: "takes any" },
    event: toldOnly,
    file: "subjects",
  },
  {
    key: "keepAliveSeconds.max",
    bounds: "the longest keep alive",
    answer: {
      v5: "Server Keep Alive; DISCONNECT 0x8D after one and a half times it",
      v3: "closed after one and a half times it",
    },
    event: toldOnly,
    file: "subjects",
  },
  {
    key: "sessionExpirySeconds",
    bounds: "the life of a session without a connection",
    answer: { v5: "Session Expiry Interval in CONNACK", v3: "untold" },
    event: toldOnly,
    file: "subjects",
  },
  {
    key: "topicAliases",
    bounds: "topic aliases of one connection, each way",
    answer: { v5: "DISCONNECT 0x94", v3: "has none" },
    event: "`protocol-error`",
    file: "packets",
  },
  {
    key: "openCommands",
    bounds: "commands that wait for an answer",
    answer: { v5: "PUBACK, PUBREC 0x97", v3: "closed" },
    event: "`limit-reached`",
    file: "commands",
  },
  {
    key: "openCommandsPerRequester",
    bounds: "commands of one subject that wait for an answer",
    answer: { v5: "PUBACK, PUBREC 0x97", v3: "closed" },
    event: "`limit-reached`",
    file: "commands",
  },
  {
    key: "openCommandsPerDevice",
    bounds: "commands that one device has not answered",
    answer: { v5: "PUBACK, PUBREC 0x97", v3: "closed" },
    event: "`limit-reached`",
    file: "commands",
  },
  {
    key: "retainedSeconds",
    bounds: "the life of a retained message",
    answer: toldOnly,
    event: toldOnly,
    file: "stores",
  },
  {
    key: "retainedMessages",
    bounds: "retained messages",
    answer: { v5: "PUBACK, PUBREC 0x97", v3: "closed" },
    event: "`limit-reached`",
    file: "stores",
  },
  {
    key: "retainedBytes",
    bounds: "retained messages with the levels of their topics",
    answer: { v5: "PUBACK, PUBREC 0x97", v3: "closed" },
    event: "`limit-reached`",
    file: "stores",
  },
  {
    key: "storedBytes",
    bounds: "sessions, messages owed to them, retained messages and the feed, on disk",
    answer: { v5: "PUBACK, PUBREC 0x97 for what would be stored", v3: "closed" },
    event: "`limit-reached`",
    file: "stores",
  },
  {
    key: "memoryBytes",
    bounds: "what clients make the broker hold",
    answer: {
      v5: "CONNACK, SUBACK, PUBACK of a retained message 0x97; publishers are read more slowly",
      v3: "CONNACK 3, SUBACK 0x80, closed for a retained message; publishers are read more slowly",
    },
    event: "`connect-refused`, `limit-reached`, `messages-dropped`",
    file: "stores",
  },
];
