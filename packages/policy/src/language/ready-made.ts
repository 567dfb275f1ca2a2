/** Roles as they are common in hospitals, ready to be copied into a policy; `wardmq policy roles` prints them. */
export interface ReadyMadeRole {
  readonly name: string;
  readonly summary: string;
  /** The role as YAML, indented for `roles:`. */
  readonly text: string;
  /** A binding or grant that fits. */
  readonly given: string;
}

const own = "{org}/{site}/{ward}/device/{id}";

export const readyMadeRoles: readonly ReadyMadeRole[] = [
  {
    name: "bedside-device",
    summary: "a monitor, pump or ventilator: below its own id and nowhere else",
    text: `  bedside-device:
    publish:
      - "${own}/telemetry"
      - "${own}/alarm"
      - "${own}/command/response"
      - "${own}/command/response/+"
      - { filter: "${own}/lifecycle", retain: allowed }
      - "${own}/firmware/status"
    subscribe:
      - "${own}/command"
      - "${own}/command/request/+"
      - "${own}/config"
      - "${own}/firmware/command"
      - "${own}/lifecycle"
`,
    given: '{ role: bedside-device, to: "device:*" }',
  },
  {
    name: "gateway",
    summary: "a service that speaks for the devices of one ward; bind it with a place",
    text: `  gateway:
    publish:
      - "{org}/+/+/device/+/telemetry"
      - "{org}/+/+/device/+/alarm"
      - "{org}/+/+/device/+/lifecycle"
    subscribe:
      - "{org}/+/+/device/+/command"
`,
    given: '{ role: gateway, to: "service:gateway-icu-3", where: { site: main, ward: icu-3 } }',
  },
  {
    name: "commander",
    summary: "sends commands to the devices of one ward and gets the answers; bind it with a place",
    text: `  commander:
    publish:
      - { filter: "{org}/+/+/device/+/command", qos: 1 }
      - { filter: "{org}/+/+/device/+/command/request/+", qos: 1 }
    subscribe:
      - "{org}/+/+/device/+/command/response"
      - "{org}/+/+/device/+/command/response/+"
`,
    given: '{ role: commander, to: "service:pump-control", where: { site: main, ward: icu-3 } }',
  },
  {
    name: "clinical-dashboard",
    summary: "reads aggregated data, never a single device",
    text: `  clinical-dashboard:
    subscribe:
      - "{org}/+/+/aggregate/#"
`,
    given: '{ role: clinical-dashboard, to: "service:dashboard" }',
  },
  {
    name: "analytics",
    summary: "reads de-identified data and nothing else",
    text: `  analytics:
    subscribe:
      - "{org}/deid/#"
`,
    given: '{ role: analytics, to: "service:analytics" }',
  },
  {
    name: "updater",
    summary: "sends firmware commands and reads how they went",
    text: `  updater:
    publish:
      - { filter: "{org}/+/+/device/+/firmware/command", qos: 1 }
    subscribe:
      - "{org}/+/+/device/+/firmware/status"
`,
    given: '{ role: updater, to: "service:updater" }',
  },
  {
    name: "operator",
    summary: "reads the broker's own topics",
    text: `  operator:
    subscribe:
      - "$SYS/#"
`,
    given: '{ role: operator, to: "service:operations" }',
  },
  {
    name: "field-service",
    summary: "reads how devices are, in one ward and for a time",
    text: `  field-service:
    subscribe:
      - "{org}/+/+/device/+/lifecycle"
      - "{org}/+/+/device/+/firmware/status"
`,
    given:
      '{ role: field-service, to: "service:acme", where: { site: main, ward: icu-3 }, from: "2026-12-01T08:00:00Z", until: "2026-12-01T16:00:00Z", reason: "pump maintenance", approvedBy: "head of biomed" }',
  },
];

/** A policy of all of them, each given to somebody. */
export function readyMadePolicyText(): string {
  const isGrant = ({ given }: ReadyMadeRole) => given.includes("until:");
  const lines = (all: readonly ReadyMadeRole[]) =>
    all.map(({ given }) => `  - ${given}\n`).join("");
  const roles = readyMadeRoles.map(({ summary, text }) => `  # ${summary}\n${text}`).join("\n");
  const bindings = lines(readyMadeRoles.filter((one) => !isGrant(one)));
  return `roles:\n${roles}\nbindings:\n${bindings}\ngrants:\n${lines(readyMadeRoles.filter(isGrant))}`;
}
