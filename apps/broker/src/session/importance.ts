/**
 * What goes first when a session's queue is full: the oldest message of the least important class. A class is the list
 * of channels of `{org}/{site}/{ward}/device/{uuid}/{channel}` that are in it; every other topic is in the first one.
 */
export const importanceClasses = [
  { name: "telemetry", channels: ["telemetry"] },
  { name: "command", channels: ["command", "config", "lifecycle", "firmware"] },
  { name: "alarm", channels: ["alarm"] },
] as const;

const placeOfDevice = 3;
const placeOfChannel = 5;

/** The index of the topic's class in `importanceClasses`. */
export function importanceOf(topicName: string): number {
  const levels = topicName.split("/");
  const channel = levels[placeOfDevice] === "device" ? (levels[placeOfChannel] ?? "") : "";
  const at = importanceClasses.findIndex(({ channels }) =>
    (channels as readonly string[]).includes(channel),
  );
  return Math.max(0, at);
}
