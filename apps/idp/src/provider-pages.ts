import type { Client, PageContext } from "oidc-provider";
import { escaped, page } from "./page.ts";

/** In the place of oidc-provider's own pages, which load fonts from elsewhere and do not say that this is the demo's. */

/** The form holds a field for the code and no button. */
export async function userCodeInputSource(
  context: PageContext,
  form: string,
  _: unknown,
  error?: Error,
): Promise<void> {
  const said =
    error === undefined ? "" : "<p>That was no code that is waited for, or it was cancelled.\n";
  context.body = page(`${said}<p>Enter the code that wardmq login --device shows.
${form}
<p><button type="submit" form="op.deviceInputForm">Continue</button>`);
}

export async function userCodeConfirmSource(
  context: PageContext,
  form: string,
  client: Client,
  _: unknown,
  userCode: string,
): Promise<void> {
  context.body =
    page(`<p>${nameOf(client)} on another machine wants to know who you are. It shows this code:
<p><code>${escaped(userCode)}</code>
${form}
<p><button type="submit" form="op.deviceConfirmForm" autofocus>Continue</button>
<p><button type="submit" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>`);
}

export async function successSource(context: PageContext): Promise<void> {
  context.body = page("<p>You are logged in there. You may close this page.");
}

export async function logoutSource(context: PageContext, form: string): Promise<void> {
  context.body = page(`<p>Do you want to log out?
${form}
<p><button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Log out</button>
<p><button type="submit" form="op.logoutForm">Stay</button>`);
}

export async function postLogoutSuccessSource(context: PageContext): Promise<void> {
  context.body = page("<p>You are logged out. You may close this page.");
}

/** `error` and `error_description` of RFC 6749 section 5.2. */
export async function renderError(
  context: PageContext,
  said: Readonly<Record<string, string>>,
): Promise<void> {
  context.type = "html";
  context.body = page(
    Object.values(said)
      .map((text) => `<p>${escaped(text)}`)
      .join("\n"),
  );
}

const nameOf = ({ clientName, clientId }: Client) => escaped(clientName ?? clientId);
