import { KeysError, readKeyFile, weakerProviders } from "@wardmq/keys";
import { Failure } from "./failure.ts";

const keyFiles = ["control/keys.json", "broker/keys.json"] as const;

/** What weakens the keys of the deployment in the current folder, one line each. */
export function keyFindings(): readonly string[] {
  return keyFiles.flatMap((path) => {
    const { name } = providerOf(path);
    const weakness = weakerProviders[name];
    return weakness === undefined ? [] : [`the keys of ${path} are kept by ${name}: ${weakness}`];
  });
}

function providerOf(path: (typeof keyFiles)[number]) {
  try {
    return readKeyFile(path).provider;
  } catch (error) {
    if (!(error instanceof KeysError)) throw error;
    throw new Failure(2, error.message, error.hint);
  }
}
