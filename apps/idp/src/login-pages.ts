import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type Provider from "oidc-provider";
import { escaped, page } from "./page.ts";

const longestForm = 16 * 1024;
const path = /^\/interaction\/[\w-]+(\/abort)?$/;

/** The pages where a person logs in, with any password, and says what an app may do. Other paths are for `others`. */
export function withLoginPages(provider: Provider, others: RequestListener): RequestListener {
  return (request, response) => {
    const found = path.exec(request.url ?? "");
    if (found === null) return others(request, response);
    const answer = found[1] === undefined ? ask : deny;
    answer(provider, request, response).catch(() => {
      // Whoever has no login under way, or sends another form than the page has.
      response.writeHead(400, { "content-type": "text/plain" }).end("begin the login again\n");
    });
  };
}

async function ask(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { prompt, params, uid } = await provider.interactionDetails(request, response);
  if (request.method !== "POST") {
    const body = prompt.name === "login" ? loginForm(params.login_hint ?? "") : consentForm;
    response.writeHead(200, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
    });
    return void response.end(html(uid, params.client_id, body));
  }
  const form = await formOf(request);
  if (form.get("prompt") !== prompt.name) throw new Error("the form of another page");
  if (prompt.name === "login") {
    const login = { accountId: form.get("login") ?? "" };
    const finish = { mergeWithLastSubmission: false };
    return provider.interactionFinished(request, response, { login }, finish);
  }
  const grantId = await grant(provider, request, response);
  const finish = { mergeWithLastSubmission: true };
  return provider.interactionFinished(request, response, { consent: { grantId } }, finish);
}

/** Everything that the app has asked for. */
async function grant(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<string> {
  const { grantId, session, params, prompt } = await provider.interactionDetails(request, response);
  const { details } = prompt;
  const known = grantId === undefined ? undefined : await provider.Grant.find(grantId);
  const granted =
    known ?? new provider.Grant({ accountId: session?.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) granted.addOIDCScope(details.missingOIDCScope.join(" "));
  for (const [resource, scope] of Object.entries(details.missingResourceScopes ?? {}))
    granted.addResourceScope(resource, scope.join(" "));
  return granted.save();
}

function deny(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const result = { error: "access_denied", error_description: "the person has cancelled" };
  return provider.interactionFinished(request, response, result, {
    mergeWithLastSubmission: false,
  });
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > longestForm) throw new Error("too long");
  }
  return new URLSearchParams(text);
}

const loginForm = (hint: string) => `<input type="hidden" name="prompt" value="login">
<p><label>Name <input name="login" required autofocus value="${escaped(hint)}"></label>
<p><label>Password <input name="password" type="password" required></label> any will do
<p><button type="submit">Log in</button>`;

const consentForm = `<input type="hidden" name="prompt" value="consent">
<p><button type="submit" autofocus>Continue</button>`;

const html = (uid: string, app: string, form: string) =>
  page(`<p>${escaped(app)} wants to know who you are.
<form method="post" autocomplete="off">${form}</form>
<p><a href="/interaction/${uid}/abort">Cancel</a>`);
