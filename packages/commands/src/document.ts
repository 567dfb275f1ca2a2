import type { CommandTable } from "./command.ts";
import { apiRoutes } from "./openapi.ts";

/** docs/api.md, whose table of routes is that of the commands. */
export function apiDocument(table: CommandTable): string {
  const rows = apiRoutes(table).map(
    ({ name, method, path, role, needsApproval, summary, ...at }) => {
      const places = [...at.inQuery.map((key) => `?${key}`), ...at.inBody].map(
        (key) => `\`${key}\``,
      );
      const who = needsApproval ? `${role}, and a second person` : role;
      return `| \`${name}\` | \`${method} ${path}\` | ${places.join(" ")} | ${who} | ${summary} |`;
    },
  );
  const local = Object.entries(table)
    .filter(([, { role }]) => role === "local")
    .map(([name]) => `\`${name}\``);
  return `# The API

<!-- Written by npm run docs from packages/commands/src; change it there. -->

\`wardmq serve\` serves the API over HTTPS, on port 9443 of 127.0.0.1 unless \`listeners.api\` in \`wardmq.yaml\` says otherwise. TLS is the
broker's: 1.3, a configured host by SNI, a client certificate. Whoever has one that is not of an active operator gets no further than
the handshake; nor does whoever has none, unless \`issuers.yaml\` lets people come with [access tokens](tokens.md#operators-with-tokens) or takes [logouts](tokens.md#revocation). \`GET /openapi.json\` gives the OpenAPI 3.1 document with the schema of every argument and result, and both ways to come: \`clientCertificate\` and \`bearerAuth\`.

\`\`\`sh
npx wardmq operator add DIR alice --role security-officer
npx wardmq credential DIR operator:alice --out ./alice
cd alice
curl --cacert ca.pem --cert cert.pem --key key.pem https://localhost:9443/v1/subjects
\`\`\`

The same from afar with the tool: \`npx wardmq show device:UUID --url https://localhost:9443 --credential ./alice\`, or with \`--profile\` as
whoever logged in with \`wardmq login\`. On the machine of the deployment
\`npx wardmq list DIR\` asks control over \`run/control.sock\`, as the owner of the folder: the same commands, checked and done in the same place.

## Calls

Arguments in braces stand in the path; those with \`?\` in the query; all others in a JSON object in the body. What a call does not know
is an error. Each role may do what the ones before it may: ${"`viewer`, `operator`, `security-officer`"}; ${"`authenticated`"} is
anybody who was let in, such as a person whose token only says what may be [taken in an emergency](tokens.md#break-glass).

| Command | Call | Other arguments | Who | Does |
|---|---|---|---|---|
${rows.join("\n")}

Only for the owner of the folder: ${local.join(", ")}.

## A second person

A command that everybody depends on is not done at once: the answer is 202 with an \`approval\`, and a *different* security officer says
\`POST /v1/approvals/{id}/approve\` within 24 hours (\`npx wardmq approvals list\`, \`approve\`, \`refuse\`). The owner of the folder, who holds
the keys of the CA anyway, needs a second person as soon as there is an active security officer who can be one. A command of an
operator who was revoked meanwhile is not done. A certificate and a token of one person are one person: say it with
\`wardmq operator link\`. A person and an operator of whom nobody has said it may be the same, so neither approves what the other wants; the
same goes for people of two issuers. An app is no person.

## Answers

200 with the result, or \`application/problem+json\` (RFC 9457) with \`code\`, \`title\` and \`hint\`; the codes stand in [errors](errors.md#control).
400 and 422 are for wrong input, 401 for a certificate or a token that is not good (no more), which a token is too whose every role asks for a stronger login,
or, with \`insufficient_user_authentication\`, for a login too weak for the command; 403 for a role, 404 for what is
not there, 409 for what can not be done as things stand, 429 for more than 100 requests in a second from one certificate.

**Idempotency.** A call with the header \`Idempotency-Key\` (1 to 200 characters; of its caller alone) is done once: for a day, the same
key with the same call gets the same answer, with another call 422. What is shown once, such as an enrolment code, does not come back.

**Lost updates.** A record comes with an \`ETag\`. A change of it with that in \`If-Match\` is done only while the record is still the
one that was looked at, else 412; without the header the last one to write wins.

**Pages.** Where a call has \`limit\` and \`cursor\`, the result has \`next\` as long as more follows: give it as \`cursor\`, which takes nothing
else. What is added or goes meanwhile neither hides nor repeats what stays.

Every call is an event \`api-call\` with who, what, and what came of it, and for a token its person and a hash of its \`jti\`; every refusal at the door is one too: [events](events.md).
`;
}
