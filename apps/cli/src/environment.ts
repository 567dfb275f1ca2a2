import { Failure } from "./failure.ts";

/**
 * Variables that make a runtime load code, trust other certificates, write TLS secrets or take another OpenSSL
 * configuration. Children never get them; refusing tells the operator that something on the machine sets them.
 */
const refused: readonly RegExp[] = [
  /^NODE_OPTIONS$/,
  /^BUN_OPTIONS$/,
  /^BUN_(INSPECT|PRELOAD|CONFIG|JSC)/,
  /^NODE_TLS_REJECT_UNAUTHORIZED$/,
  /^NODE_EXTRA_CA_CERTS$/,
  /^NODE_USE_SYSTEM_CA$/,
  /^NODE_(DEBUG|DEBUG_NATIVE|V8_COVERAGE|REDIRECT_WARNINGS|REPL_EXTERNAL_MODULE)$/,
  /^SSLKEYLOGFILE$/,
  /^SSL_CERT_(FILE|DIR)$/,
  /^OPENSSL_(CONF|CONF_INCLUDE|MODULES|ENGINES)$/,
];

/** What children get: nothing that names files, loads code or holds a secret. */
const passed: readonly string[] = ["LANG", "LC_ALL", "TZ", "NO_COLOR"];

/** Refuses to go on where the environment or the runtime's own options could weaken TLS or load foreign code. */
export function refuseWeakeningEnvironment(
  environment: NodeJS.ProcessEnv,
  execArgv: readonly string[],
  ownOptions: readonly string[],
): void {
  const name = Object.keys(environment).find(
    (key) => environment[key] !== "" && refused.some((pattern) => pattern.test(key)),
  );
  if (name !== undefined) {
    throw new Failure(
      2,
      `refusing to start while ${name} is set: it can weaken TLS or load other code`,
      `unset ${name}`,
    );
  }
  const option = execArgv.find((argument) => !ownOptions.includes(argument));
  if (option !== undefined) {
    throw new Failure(
      2,
      `refusing to start with the runtime option ${option}`,
      "start it as wardmq serve",
    );
  }
}

/** The environment of control and broker. */
export function minimalEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = passed.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  // Bun would otherwise keep compiled code in a cache that others could write.
  return { ...Object.fromEntries(kept), BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" };
}
