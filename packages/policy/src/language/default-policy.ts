/** The `policy.yaml` that `wardmq init` writes: bedside devices speak for themselves, a dashboard reads them. */
export function defaultPolicyText(): string {
  return text;
}

const text = `# Who may publish and subscribe to what. What no rule here allows is denied.
#
# A rule is a topic filter. Braces stand for a whole level and take an attribute of the subject's record:
#   {org} and {id} of every subject; {site}, {ward} and {model} of devices.
# Keep filters in quotes. \`wardmq policy check\` tells what is wrong with a change before it counts.

roles:
  # What every bedside device may do, below its own uuid and nowhere else.
  bedside-device:
    publish:
      - "{org}/{site}/{ward}/device/{id}/telemetry"
      - "{org}/{site}/{ward}/device/{id}/alarm"
      - "{org}/{site}/{ward}/device/{id}/command/response"
      # Retained: that is how control tells a device to renew (wardmq rotate fleet).
      - { filter: "{org}/{site}/{ward}/device/{id}/lifecycle", retain: allowed }
      - "{org}/{site}/{ward}/device/{id}/firmware/status"
      # Commands whose topic holds their correlation, as MQTT 3.1.1 needs it: the answer goes to response/ with the same level.
      - "{org}/{site}/{ward}/device/{id}/command/response/+"
    subscribe:
      - "{org}/{site}/{ward}/device/{id}/command"
      - "{org}/{site}/{ward}/device/{id}/config"
      - "{org}/{site}/{ward}/device/{id}/firmware/command"
      - "{org}/{site}/{ward}/device/{id}/lifecycle"
      - "{org}/{site}/{ward}/device/{id}/command/request/+"

  # Reads the vital signs and alarms of every device of the organisation; sends nothing.
  clinical-dashboard:
    subscribe:
      - "{org}/+/+/device/+/telemetry"
      - "{org}/+/+/device/+/alarm"

# Who gets a role: "device:*", "device:<uuid>", "service:*" or "service:<name>".
bindings:
  - { role: bedside-device, to: "device:*" }
  - { role: clinical-dashboard, to: "service:dashboard" }
`;
