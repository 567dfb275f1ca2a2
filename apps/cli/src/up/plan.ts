/** The simulated ward: who is in it and what the policy allows. */

export type DeviceKind = "monitor" | "pump" | "ventilator";

export interface PlannedDevice {
  readonly kind: DeviceKind;
  readonly model: string;
  readonly ward: string;
}

export const org = "demo-hospital";
export const environment = "demo";
export const host = "localhost";
export const site = "main";
export const dashboard = "dashboard";
/** The service whose credential is for the reader's own client. */
export const ownClient = "try-it";

/** 8 bedside monitors, 4 pumps and 2 ventilators in two wards. */
export const plannedDevices: readonly PlannedDevice[] = [
  ...beds("monitor", "bedside-monitor", { icu: 4, "ward-3": 4 }),
  ...beds("pump", "infusion-pump", { icu: 3, "ward-3": 1 }),
  ...beds("ventilator", "ventilator", { icu: 2 }),
];

function beds(
  kind: DeviceKind,
  model: string,
  wards: Readonly<Record<string, number>>,
): PlannedDevice[] {
  return Object.entries(wards).flatMap(([ward, number]) =>
    Array.from({ length: number }, () => ({ kind, model, ward })),
  );
}

/** What gives the dashboard's tokens their role. */
export const dashboardClaim =
  "{ issuer: demo, claim: groups, value: dashboards, role: clinical-dashboard }";

export const policyText = `# Nothing is allowed unless a role says so. Braces take attributes of the subject's record.
topics:
  templates:
    - "{org}/{site}/{ward}/device/{uuid}/{channel}"
    - "{org}/${ownClient}/{name}/{topic}"
    - "{org}/notes/{ward}"
roles:
  bedside-device:
    publish:
      - "{org}/{site}/{ward}/device/{id}/telemetry"
      - "{org}/{site}/{ward}/device/{id}/alarm"
    subscribe:
      - "{org}/{site}/{ward}/device/{id}/command"
  clinical-dashboard:
    subscribe:
      - "{org}/+/+/device/+/telemetry"
      - "{org}/+/+/device/+/alarm"
  # For a client of your own: it reads what the dashboard reads, and talks to itself below ${ownClient}.
  own-client:
    publish:
      - "{org}/${ownClient}/{id}/+"
    subscribe:
      - "{org}/+/+/device/+/telemetry"
      - "{org}/+/+/device/+/alarm"
      - "{org}/${ownClient}/{id}/+"
  # For people with a token: a nurse reads the ward the token names, and writes notes of it.
  nurse:
    publish:
      - "{org}/notes/{ward}"
    subscribe:
      - "{org}/+/{ward}/device/+/telemetry"
      - "{org}/+/{ward}/device/+/alarm"
      - "{org}/notes/{ward}"
  # A doctor reads every ward, but only after a login with a second factor.
  doctor:
    requires: { amr: [mfa] }
    subscribe:
      - "{org}/+/+/device/+/telemetry"
      - "{org}/+/+/device/+/alarm"
claims:
  - ${dashboardClaim}
  - { issuer: demo, claim: groups, value: nurses, role: nurse }
  - { issuer: demo, claim: groups, value: doctors, role: doctor }
bindings:
  - { role: bedside-device, to: "device:*" }
  - { role: clinical-dashboard, to: "service:${dashboard}" }
  - { role: own-client, to: "service:${ownClient}" }
`;
