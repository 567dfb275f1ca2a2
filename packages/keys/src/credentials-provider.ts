import { readFileSync } from "node:fs";
import { join } from "node:path";
import { printable } from "@wardmq/events";
import { parseKeyText } from "./file-provider.ts";
import type { KeyEnvironment, KeyProvider, ProviderDescription } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";
import { localProvider } from "./local-provider.ts";

type Description = Extract<ProviderDescription, { name: "credentials" }>;

/** A key-encryption key that systemd hands to the service, such as one that systemd-creds sealed to the TPM. */
export function credentialsProvider(
  description: Description,
  environment: KeyEnvironment,
): KeyProvider {
  const { credential } = description;
  const key = parseKeyText(readCredential(environment, credential), credential);
  return localProvider(
    description,
    () => key,
    `the credential ${printable(credential)} has to be the one that the key file was made with`,
  );
}

/** A credential of this service; that there is none is a sentence. Its name is no path. */
export function readCredential({ credentialsDirectory }: KeyEnvironment, name: string): Buffer {
  const shown = printable(name);
  const hint = `start it by systemd with LoadCredentialEncrypted=${shown}, or set CREDENTIALS_DIRECTORY to the folder that holds it`;
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$/.test(name))
    throw new KeysError("ERR_KEY_PROVIDER", `"${shown}" is no name of a credential`, hint);
  if (credentialsDirectory === undefined)
    throw new KeysError("ERR_KEY_PROVIDER", `there are no credentials to take ${shown} from`, hint);
  try {
    // The folder is this service's alone: systemd mounts it so that nobody else can open it.
    return readFileSync(join(credentialsDirectory, name));
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? "unreadable";
    throw new KeysError(
      "ERR_KEY_PROVIDER",
      `cannot read the credential ${shown}: ${why}`,
      hint,
      cause,
    );
  }
}
