interface ErrorDefinition {
  /** 1: refused or failed; 2: wrong input or configuration. */
  readonly exitCode: 1 | 2;
  readonly meaning: string;
  /** Of the API's answer; left out it is 400 for wrong input, 409 for a refusal. */
  readonly status?: number;
}

/** Everything that control refuses, one row each. Codes are stable; docs/errors.md has the same rows. */
export const controlErrors = {
  ERR_USAGE: {
    exitCode: 2,
    meaning: "control was started with other words than it knows",
  },
  ERR_REQUEST: {
    exitCode: 2,
    meaning: "what came is no command with exactly its arguments",
  },
  ERR_UNAUTHENTICATED: {
    exitCode: 1,
    status: 401,
    meaning: "the caller has no certificate or token that is good, or no more",
  },
  ERR_STEP_UP: {
    exitCode: 1,
    status: 401,
    meaning: "the command asks for a stronger login than the token is of",
  },
  ERR_OPERATOR_PERSON: {
    exitCode: 1,
    meaning: "the person is another operator already",
  },
  ERR_FORBIDDEN: {
    exitCode: 1,
    status: 403,
    meaning: "the caller's role may not give the command",
  },
  ERR_ROUTE: {
    exitCode: 2,
    status: 404,
    meaning: "the API has no such route",
  },
  ERR_APPROVAL_NEEDED: {
    exitCode: 1,
    status: 202,
    meaning: "the command was written down and waits for a second person",
  },
  ERR_APPROVAL_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "there is no such approval",
  },
  ERR_APPROVAL_DECIDED: {
    exitCode: 1,
    meaning: "the command was approved, refused or given up already, or its time is over",
  },
  ERR_APPROVAL_SAME_PERSON: {
    exitCode: 1,
    status: 403,
    meaning: "the person who gave a command can not approve it",
  },
  ERR_PRECONDITION: {
    exitCode: 1,
    status: 412,
    meaning: "If-Match names another state of the record: somebody has changed it",
  },
  ERR_IDEMPOTENCY_KEY: {
    exitCode: 2,
    status: 422,
    meaning:
      "the idempotency key is not 1 to 200 printable characters, or belongs to another request",
  },
  ERR_IDEMPOTENCY_UNFINISHED: {
    exitCode: 1,
    meaning: "the first request with this key has not ended, or control ended before it did",
  },
  ERR_OPERATOR: {
    exitCode: 2,
    meaning: "the text names no operator",
  },
  ERR_MANUFACTURER: {
    exitCode: 2,
    meaning: "what was given is not one certificate of a CA in PEM",
  },
  ERR_MANUFACTURER_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "there is no such manufacturer",
  },
  ERR_FOREIGN_CA: {
    exitCode: 2,
    meaning: "what was given is no CA that can be trusted beside our own",
  },
  ERR_FOREIGN_CA_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "there is no such foreign CA",
  },
  ERR_FOREIGN_CERTIFICATE: {
    exitCode: 1,
    meaning: "a certificate of a foreign CA can not be bound to a record",
  },
  ERR_CRL: {
    exitCode: 1,
    meaning: "the CRL of another CA can not be read, or is not one that can be relied on",
  },
  ERR_PENDING: {
    exitCode: 1,
    meaning: "`control/pending.sealed.db` is damaged",
  },
  ERR_INIT_ARGUMENTS: {
    exitCode: 2,
    meaning: "organisation, environment or a host can not stand in `wardmq.yaml`",
  },
  ERR_FOLDER_NOT_EMPTY: {
    exitCode: 2,
    meaning: "the folder of a new deployment holds something",
  },
  ERR_FOLDER: {
    exitCode: 2,
    meaning: "the folder of a new deployment can not be made",
  },
  ERR_NO_DEPLOYMENT: {
    exitCode: 2,
    meaning: "the folder holds no deployment",
  },
  ERR_FILE_MODE: {
    exitCode: 2,
    meaning: "users other than its owner can change a file or a folder of the deployment",
  },
  ERR_DISK_FULL: {
    exitCode: 1,
    status: 507,
    meaning: "the disk holds no more",
  },
  ERR_LISTEN: {
    exitCode: 1,
    meaning: "a port of EST or of the API can not be listened on",
  },
  ERR_CONTROL_RUNS: {
    exitCode: 1,
    meaning: "a running control holds the deployment",
  },
  ERR_BUSY: {
    exitCode: 1,
    status: 503,
    meaning: "another process works on the deployment",
  },
  ERR_FILE_UNREADABLE: {
    exitCode: 2,
    meaning: "a file of the deployment can not be read",
  },
  ERR_KEYS_CHANGE: {
    exitCode: 1,
    meaning: "the keys are protected by this provider already",
  },
  ERR_KEY: {
    exitCode: 2,
    meaning: "a file holds no private key of the kind it is for",
  },
  ERR_CERTIFICATE: {
    exitCode: 2,
    meaning: "a file holds no certificate in PEM",
  },
  ERR_CA: {
    exitCode: 2,
    meaning: "the certificates of the CA have expired, or do not fit each other or the key",
  },
  ERR_CLOCK: {
    exitCode: 2,
    meaning: "the clock of the machine stands before the CA was made",
  },
  ERR_BACKUP: {
    exitCode: 1,
    meaning: "a file is no backup, or is damaged, cut off or put together from others",
  },
  ERR_BACKUP_KEY: {
    exitCode: 2,
    meaning: "the key or passphrase of a backup is another one, or no key for this",
  },
  ERR_BACKUP_FILE: {
    exitCode: 2,
    meaning: "the file of a backup can not be written or read",
  },
  ERR_STATE: {
    exitCode: 1,
    meaning: "a sealed file of control is damaged, or of another key",
  },
  ERR_REGISTRY: {
    exitCode: 1,
    meaning: "the registry is damaged, or of a version this control does not know",
  },
  ERR_ATTRIBUTE: {
    exitCode: 2,
    meaning: "a site, ward, model or name has characters outside A-Z a-z 0-9 _ -, or more than 64",
  },
  ERR_DEVICE_ID: {
    exitCode: 2,
    meaning: "the id of a device is no uuid in lower case",
  },
  ERR_SUBJECT: {
    exitCode: 2,
    meaning: "the text names no device or service",
  },
  ERR_TENANT_UNKNOWN: {
    exitCode: 2,
    meaning: "the policy is not for this organisation",
  },
  ERR_SUBJECT_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "there is no such device, service or operator",
  },
  ERR_SUBJECT_EXISTS: {
    exitCode: 1,
    meaning: "the device, service or operator is registered already",
  },
  ERR_SUBJECT_REVOKED: {
    exitCode: 1,
    meaning: "the device or service is revoked or retired",
  },
  ERR_SUBJECT_STATE: {
    exitCode: 1,
    meaning: "the state of the device or service has no way to the one that is asked for",
  },
  ERR_BAN_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "there is no such ban",
  },
  ERR_BREAK_GLASS: {
    exitCode: 1,
    meaning: "the person may not take this, or not now",
  },
  ERR_BREAK_GLASS_UNKNOWN: {
    exitCode: 1,
    status: 404,
    meaning: "nothing was taken under this id",
  },
  ERR_TOKEN_REVOCATION: {
    exitCode: 2,
    meaning:
      "a revocation of tokens names no issuer that is known, or more or less than one kind of token",
  },
  ERR_CERTIFICATE_REQUEST: {
    exitCode: 1,
    status: 400,
    meaning:
      "the request is no PKCS#10 request with a P-256, P-384, Ed25519 or ML-DSA key, or asks for more than its profile gives",
  },
  ERR_PROOF_OF_POSSESSION: {
    exitCode: 1,
    status: 400,
    meaning: "the request is not signed by the key it asks a certificate for",
  },
  ERR_KEY_IN_USE: {
    exitCode: 1,
    meaning: "the public key belongs to another subject, or to the deployment itself",
  },
  ERR_KEY_REVOKED: {
    exitCode: 1,
    meaning: "the public key was revoked",
  },
  ERR_ROTATION: {
    exitCode: 1,
    meaning: "a rotation is not where this step can be taken",
  },
  ERR_ROOT_KEY: {
    exitCode: 1,
    meaning: "the key of the root CA is not in the deployment, or the file is not its copy",
  },
  ERR_POLICY_FILES: {
    exitCode: 2,
    meaning: "there is a policy.yaml and a folder policy with files",
  },
  ERR_POLICY_VERSION: {
    exitCode: 1,
    meaning: "a version of the policy does not exist, or is not as control has written it",
  },
  ERR_POLICY_SHADOW: {
    exitCode: 1,
    meaning: "no policy is on trial",
  },
  ERR_POLICY_CHANGED: {
    exitCode: 1,
    meaning: "the policy files are no longer those that were looked at",
  },
  ERR_INTERNAL: {
    exitCode: 1,
    status: 500,
    meaning: "control made a mistake; its output says which",
  },
} as const satisfies Record<`ERR_${string}`, ErrorDefinition>;

export type ControlErrorCode = keyof typeof controlErrors;

/** The status of the API's answer for a refusal; a code that is not in our table is of a file that was wrong. */
export function statusOf(code: string): number {
  const known: Readonly<Record<string, ErrorDefinition>> = controlErrors;
  const { exitCode, status } = known[code] ?? { exitCode: 2 };
  return status ?? (exitCode === 2 ? 400 : 409);
}
