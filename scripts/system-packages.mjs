// The programs and libraries of the system that tests and benchmarks use: installed where that is allowed, else named.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

const wanted = [
  { program: "mosquitto", package: "mosquitto" },
  { program: "mosquitto_sub", package: "mosquitto-clients" },
  { program: "openssl", package: "openssl" },
  { program: "socat", package: "socat" },
  { program: "testssl", package: "testssl.sh", alias: "testssl.sh" },
  { program: "curl", package: "curl" },
  { program: "pki", package: "strongswan-pki" },
  { library: "plugins/libstrongswan-openssl.so", package: "libstrongswan-standard-plugins" }, // keys on curves
  { program: "softhsm2-util", package: "softhsm2" },
  { program: "g++", package: "g++" },
  { program: "make", package: "make" },
  { program: "python3", package: "python3" },
  { program: "pkcs11-tool", package: "opensc" },
  { program: "swtpm", package: "swtpm" },
  { program: "swtpm_setup", package: "swtpm-tools" },
  { program: "tpm2_createprimary", package: "tpm2-tools" },
  { library: "ossl-modules/tpm2.so", package: "tpm2-openssl" },
  { program: "tpm2-abrmd", package: "tpm2-abrmd" },
  { library: "libtss2-tcti-tabrmd.so.0", package: "libtss2-tcti-tabrmd0" },
  { program: "dbus-daemon", package: "dbus" },
  { library: "engines-3/pkcs11.so", package: "libengine-pkcs11-openssl" },
];

const folders = [...(process.env.PATH || "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
/**
 * Debian keeps libraries below the name of the machine's kind, such as x86_64-linux-gnu, or of what they are for; an
 * installation may make such a folder, so it is read each time.
 */
const libraryFolders = () =>
  existsSync("/usr/lib") ? readdirSync("/usr/lib").map((name) => join("/usr/lib", name)) : [];
const isPresent = ({ program, alias, library }) =>
  library === undefined
    ? folders.some((folder) =>
        [program, alias].some((name) => name && existsSync(join(folder, name))),
      )
    : libraryFolders().some((folder) => existsSync(join(folder, library)));

/** Installs what is missing; says what is still missing, so that tests that are skipped surprise nobody. */
export function installSystemPackages() {
  const missing = wanted.filter((item) => !isPresent(item));
  if (missing.length === 0) return;
  const names = missing.map((item) => item.package);
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) install(names);
  const left = missing.filter((item) => !isPresent(item)).map((item) => item.package);
  if (left.length === 0) return;
  console.error(
    `not installed: ${left.join(", ")}; tests that need them are skipped (apt-get install ${left.join(" ")})`,
  );
}

function install(names) {
  console.error(`installing ${names.join(", ")} (apt-get) ...`);
  withoutServices(() => {
    if (aptGet("install", "-y", "--no-install-recommends", ...names)) return;
    aptGet("update");
    aptGet("install", "-y", "--no-install-recommends", ...names);
  });
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const options = { env, stdio: ["ignore", "ignore", "inherit"], timeout: 5 * 60_000 };
  return (
    spawnSync("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", ...args], options).status === 0
  );
}

const policyFile = "/usr/sbin/policy-rc.d";

/** Debian starts a service when it is installed, unless this file says no; a file that is there is left as it is. */
function withoutServices(body) {
  const isOurs = !existsSync(policyFile);
  try {
    if (isOurs) {
      writeFileSync(policyFile, "#!/bin/sh\nexit 101\n");
      chmodSync(policyFile, 0o755);
    }
    body();
  } finally {
    if (isOurs) rmSync(policyFile, { force: true });
  }
}
