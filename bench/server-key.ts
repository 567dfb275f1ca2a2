import { join } from "node:path";
import { KeyProviders, keyEnvironment, openPrivateKeyFile } from "@wardmq/keys";

/** The key of a deployment's server as PEM: what listens in WardMQ's place shows the same certificate. */
export function serverKeyOf(directory: string): string | Buffer {
  const sealed = join(directory, "broker", "server.key");
  const key = openPrivateKeyFile(sealed, new KeyProviders(keyEnvironment({})));
  return key.export({ type: "pkcs8", format: "pem" });
}
