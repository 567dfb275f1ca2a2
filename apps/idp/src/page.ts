/** A page that says whose it is, and loads nothing. */
export const page = (body: string) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Demo identity provider</title>
<h1>Demo identity provider</h1>
${body}
</html>
`;

export const escaped = (text: string) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
