import { stringify } from "yaml";
import { options } from "./options.ts";
import { trustDomainOf } from "./parse.ts";

/** The `wardmq.yaml` that `init` writes: what has to be said, and every limit as a comment with its default. */
export function defaultConfigText(deployment: {
  readonly org: string;
  readonly environment: string;
  readonly trustDomain: string;
  readonly hosts: readonly string[];
}): string {
  const { org, environment, trustDomain, hosts } = deployment;
  const computed = trustDomain === trustDomainOf(environment, org);
  return `# The settings of this deployment. Unknown keys are errors; docs/config.md explains every key.
# A value for one run: wardmq serve DIR --set KEY=VALUE. After a change: kill -HUP $(cat DIR/run/serve.pid)

${stringify({ org, environment })}${computed ? "" : stringify({ trustDomain })}
# The names clients use to reach the broker; the server certificate carries all of them.
${stringify({ hosts })}
# All listeners speak TLS 1.3. These two and the API require a client certificate; devices enrol at est with a one-time
# code, their maker's certificate, or the certificate they have.
# 127.0.0.1 serves this machine only. Write 0.0.0.0 (every interface) or the address of one to open it to others.
listeners:
  mqtts:
    address: 127.0.0.1
    port: 8883
  wss:
    address: 127.0.0.1
    port: 8884
  est:
    address: 127.0.0.1
    port: 8443
  api:
    address: 127.0.0.1
    port: 9443
# People and apps come with an access token as their password: write listeners.tokenWss.accept and issuers.yaml as
# docs/tokens.md says.

# Origins of pages that may open a WebSocket from a browser, such as https://console.hospital.example
webSocketOrigins: []

# How a client learns that a change of the policy ended one of its subscriptions: by the end of its connection, or, a device,
# on its lifecycle topic.
lostSubscription: disconnect

# Every limit has a safe default. To change one, remove the "# " before it (and before the group it stands in).
limits:
${limitLines().join("\n")}
`;
}

function limitLines(): string[] {
  const lines: string[] = [];
  let open = "";
  for (const { key, default: value, unit } of options) {
    const [top, first = "", second] = key.split(".");
    if (top !== "limits") continue;
    const comment = unit === undefined ? "" : `  # ${unit}`;
    if (second === undefined) lines.push(`  # ${first}: ${value}${comment}`);
    else {
      if (open !== first) lines.push(`  # ${first}:`);
      lines.push(`  #   ${second}: ${value}${comment}`);
    }
    open = second === undefined ? "" : first;
  }
  return lines;
}
