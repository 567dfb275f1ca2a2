import { join } from "node:path";
import { printable } from "@wardmq/events";
import { parseKeyText } from "./file-provider.ts";
import type { KeyEnvironment, KeyProvider, ProviderDescription } from "./key-provider.ts";
import { KeysError } from "./keys-error.ts";
import { localProvider } from "./local-provider.ts";
import { readFileWithout } from "./private-files.ts";

type Description = Extract<ProviderDescription, { name: "credentials" }>;

/** A key-encryption key that systemd hands to the service, such as one that systemd-creds sealed to the TPM. */
export function credentialsProvider(
  description: Description,
  environment: KeyEnvironment,
): KeyProvider {
  const { credential } = description;
  const key = parseKeyText(
    readCredential(environment, credential),
    `the credential ${printable(credential)}`,
  );
  return localProvider(
    description,
    () => key,
    `the credential ${printable(credential)} has to be the one that the key file was made with`,
  );
}

/** To write for a group, anything for others. systemd shows what it gives the user of a service as a group's right to read. */
const forbidden = 0o027;

/** A credential of this service; that there is none is a sentence. Its name is no path. */
export function readCredential({ credentialsDirectory }: KeyEnvironment, name: string): Buffer {
  const shown = printable(name);
  const hint = `start it by systemd with LoadCredentialEncrypted=${shown}, or set CREDENTIALS_DIRECTORY to the folder that holds it`;
  if (!/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}$/.test(name))
    throw new KeysError("ERR_KEY_PROVIDER", `"${shown}" is no name of a credential`, hint);
  if (credentialsDirectory === undefined)
    throw new KeysError("ERR_KEY_PROVIDER", `there are no credentials to take ${shown} from`, hint);
  try {
    return readFileWithout(forbidden, join(credentialsDirectory, name), `the credential ${shown}`);
  } catch (cause) {
    if (cause instanceof KeysError) throw cause;
    const why = (cause as NodeJS.ErrnoException).code ?? "unreadable";
    throw new KeysError(
      "ERR_KEY_PROVIDER",
      `cannot read the credential ${shown}: ${why}`,
      hint,
      cause,
    );
  }
}
