import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SecurityEvent } from "@wardmq/events";
import { KeyFile, KeyProviders } from "@wardmq/keys";

const providers = new KeyProviders({
  credentialsDirectory: undefined,
  passphrase: () => undefined,
});

/** All events that control has written in a deployment, oldest first. */
export function readEvents(directory: string): readonly SecurityEvent[] {
  const path = join(directory, "control/events.sealed");
  if (!existsSync(path)) return [];
  const { ring, store } = KeyFile.open(join(directory, "control/keys.json"), "control", providers);
  const place = ring.at({ purpose: "control", store, table: "events" });
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.flatMap((line) => {
    const [number = "", sealed = ""] = line.split(" ");
    const text = place.open(number, Buffer.from(sealed, "base64")).toString("utf8");
    return text
      .trimEnd()
      .split("\n")
      .map((event) => JSON.parse(event) as SecurityEvent);
  });
}
