import { readFileSync } from "node:fs";
import type { KeyEnvironment } from "./key-provider.ts";

/** The variable that says on which file descriptor a passphrase waits; the passphrase itself is in no variable. */
export const passphraseDescriptor = "WARDMQ_PASSPHRASE_FD";

/** The surroundings that the variables of a process tell of. The descriptor is read when it is asked for, and once. */
export function keyEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
): KeyEnvironment {
  let passphrase: string | undefined;
  const descriptor = variables[passphraseDescriptor];
  return {
    credentialsDirectory: variables["CREDENTIALS_DIRECTORY"] || undefined,
    passphrase: () => {
      if (descriptor === undefined || !/^\d{1,4}$/.test(descriptor)) return undefined;
      passphrase ??= readFileSync(Number(descriptor), "utf8");
      return passphrase;
    },
  };
}
