/** Variables that weaken TLS or show its secrets, whatever the program says. */
const refusedVariables = [
  "NODE_OPTIONS",
  "BUN_OPTIONS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NODE_EXTRA_CA_CERTS",
  "NODE_USE_SYSTEM_CA",
  "NODE_DEBUG",
  "NODE_INSPECT_RESUME_ON_START",
  "BUN_INSPECT",
  "BUN_CONFIG_VERBOSE_FETCH",
  "SSLKEYLOGFILE",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  "OPENSSL_CONF",
  "OPENSSL_MODULES",
] as const;

const refusedFlags =
  /^(-r$|--(tls-|inspect|trace-tls|use-openssl-ca|use-system-ca|openssl-|enable-fips=false|security-revert|insecure-http-parser|require(=|$)|import(=|$)|loader|experimental-loader|preload))/;

/** Why this process must not serve: one sentence for each variable or flag; empty when it may. */
export function environmentFaults(
  environment: Readonly<Record<string, string | undefined>>,
  flags: readonly string[],
): string[] {
  const variables = refusedVariables
    .filter((name) => (environment[name] ?? "") !== "")
    .map((name) => `${name} is set, and can weaken or expose TLS: unset it`);
  const options = flags
    .filter((flag) => refusedFlags.test(flag))
    .map(
      (flag) =>
        `the runtime was started with ${flag.split("=")[0]}, which can weaken or expose TLS: leave it out`,
    );
  return [...variables, ...options];
}
