import { normalize } from "node:path";
import { printable } from "@wardmq/events";
import { Failure } from "./failure.ts";

/** Variables that make a runtime load code, relax TLS, write its secrets, or take another OpenSSL configuration. */
const refused: readonly RegExp[] = [
  /^NODE_OPTIONS$/,
  /^NODE_TLS_REJECT_UNAUTHORIZED$/,
  /^NODE_USE_SYSTEM_CA$/,
  /^NODE_(DEBUG|DEBUG_NATIVE|V8_COVERAGE|REPL_EXTERNAL_MODULE|INSPECT_RESUME_ON_START)$/,
  /^BUN_OPTIONS$/,
  /^BUN_(INSPECT|PRELOAD|CONFIG|JSC)/,
  /^SSLKEYLOGFILE$/,
  /^OPENSSL_(CONF|CONF_INCLUDE|MODULES|ENGINES)$/,
];

/** Variables that name certificates to trust; the machine's own store, which only root can write, is no weakening. */
const trustStores: readonly string[] = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];
const ownStore = /^\/etc\/(ssl|pki)(\/|$)/;

/** What children get: nothing that loads code or holds a secret; of files only where systemd puts a service's credentials. */
const passed: readonly string[] = ["LANG", "LC_ALL", "TZ", "NO_COLOR", "CREDENTIALS_DIRECTORY"];

/**
 * Refuses to go on where the environment or the runtime's own options could weaken TLS or load foreign code. Children
 * get none of these variables; refusing tells the operator that something on the machine sets them.
 */
export function refuseWeakeningEnvironment(
  environment: NodeJS.ProcessEnv,
  execArgv: readonly string[],
  ownOptions: readonly string[],
): void {
  const name = Object.keys(environment).find((key) => isWeakening(key, environment[key] ?? ""));
  if (name !== undefined) {
    const shown = printable(name);
    const message = `refusing to start while ${shown} is set: it can weaken TLS or load other code`;
    throw new Failure(2, message, `unset ${shown}`);
  }
  const option = execArgv.find((argument) => !ownOptions.includes(argument));
  if (option !== undefined) {
    const message = `refusing to start with the runtime's option ${printable(option)}`;
    throw new Failure(2, message, "start it as wardmq");
  }
}

function isWeakening(name: string, value: string): boolean {
  if (value === "") return false;
  if (trustStores.includes(name)) return !ownStore.test(normalize(value));
  return refused.some((pattern) => pattern.test(name));
}

const forBun: NodeJS.ProcessEnv = {
  // Else it would keep compiled code in a cache that others could write.
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0",
  // Milliseconds that freed memory stays ours. Its 10 cost a busy broker a tenth of its time: every page is cleared anew.
  MIMALLOC_PURGE_DELAY: "1000",
};

/** The environment of control and broker. */
export function minimalEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = passed.flatMap((name) => {
    const value = environment[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), ...forBun };
}
