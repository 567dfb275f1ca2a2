import { type Option, options, type Value, type ValueType } from "./options.ts";

/** docs/config.md, made of the rows of `options`; a test compares the file with it. */
export function configDocument(): string {
  const isLimit = ({ key }: Option) => key.startsWith("limits.");
  return `# wardmq.yaml

<!-- Written by npm run docs from packages/config/src/options.ts; change it there. -->

\`wardmq init\` writes this file, \`wardmq serve\` reads it, and SIGHUP reads it again. A file with an error changes nothing: every
problem is named with its line, column and key, and the last good settings stay. Unknown keys, wrong types, values out of
range and keys that stand twice are errors.

Every key can be set for one run, checked like the file: \`wardmq serve DIR --set limits.connections=50000\`.

A value that is weaker than the default works only when it is written out, and \`wardmq serve\` reports it. Nothing here turns
TLS, client certificates or the policy off.

## Settings

${table(options.filter((option) => !isLimit(option)))}

## Limits

All stand under \`limits:\`.

${table(options.filter(isLimit))}

## What is reported as weaker

| Key | Reported | Why |
|---|---|---|
${options
  .filter(({ secure }) => secure)
  .map(({ key, reported, weakness }) => row([`\`${key}\``, reported ?? "", weakness ?? ""]))
  .join("\n")}

## Environment

\`WARDMQ_DIR\` is the deployment's folder where a command names none.

\`wardmq serve\` and \`wardmq up\` refuse to start, with exit code 2, under variables and options of the runtime that can relax TLS,
write its secrets or load other code: \`NODE_OPTIONS\`, \`BUN_OPTIONS\`, \`NODE_TLS_REJECT_UNAUTHORIZED\`, \`SSLKEYLOGFILE\`,
\`OPENSSL_CONF\`, \`NODE_DEBUG\`, \`--tls-keylog\`, \`--inspect\` and their like. \`NODE_EXTRA_CA_CERTS\`, \`SSL_CERT_FILE\` and \`SSL_CERT_DIR\`
are refused unless they name the machine's own store below \`/etc/ssl\` or \`/etc/pki\`. Control and broker get none of them in any case,
and take no \`.env\` and no \`bunfig.toml\` from the deployment's folder.

\`LD_PRELOAD\`, \`LD_AUDIT\` and \`LD_LIBRARY_PATH\` are not refused: the system's loader has obeyed them before a first line of WardMQ
runs, and whoever may set them for the user of the deployment may read its keys as well. Control and broker do not get them; only the
process that watches over them, which has no key and asks for a passphrase, runs with them.
`;
}

function table(rows: readonly Option[]): string {
  const lines = rows.map(({ key, type, default: value, unit, summary }) =>
    row([`\`${key}\``, describeType(type), describeDefault(value, unit), unit ?? "", summary]),
  );
  return ["| Key | Values | Default | Unit | Meaning |", "|---|---|---|---|---|", ...lines].join(
    "\n",
  );
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function describeType(type: ValueType): string {
  switch (type.kind) {
    case "integer":
      return `${type.minimum} to ${type.maximum}`;
    case "choice":
      return type.values.map((value) => `\`${value}\``).join(", ");
    case "text":
      return type.form.name;
    case "list":
      return `list: ${type.form.name}`;
  }
}

function describeDefault(value: Value | undefined, unit: string | undefined): string {
  if (value === undefined) return "has to be written";
  if (typeof value === "object") return `\`[${value.join(", ")}]\``;
  const whole = typeof value === "number" && unit?.startsWith("bytes") ? binary(value) : "";
  return `\`${value}\`${whole === "" ? "" : ` (${whole})`}`;
}

/** A round number of bytes as people say it. */
function binary(bytes: number): string {
  const units = ["KiB", "MiB", "GiB"];
  const power = units.findLastIndex((_, i) => bytes % 1024 ** (i + 1) === 0);
  return power < 0 ? "" : `${bytes / 1024 ** (power + 1)} ${units[power]}`;
}
