/** Texts that may stand in an id as they are: no `_`, which separates. */
const plain = /^[A-Za-z0-9-]{1,40}$/;

/**
 * The `id` of a token's subject, in the closed alphabet of the policy: `<issuer>_<sub>` where `sub` is a short plain
 * text such as a uuid, else `<issuer>__<hash>` with 32 base64url characters of the SHA-256 of `sub`. The two forms, and
 * those of two issuers, never meet: an issuer's name and a plain `sub` hold no `_`.
 */
export async function subjectIdOf(issuerName: string, sub: string): Promise<string> {
  if (plain.test(sub)) return `${issuerName}_${sub}`;
  const digest = await crypto.subtle.digest("SHA-256", Buffer.from(sub, "utf8"));
  return `${issuerName}__${Buffer.from(digest).toString("base64url").slice(0, 32)}`;
}
