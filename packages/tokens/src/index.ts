export { type Algorithm, algorithmNames } from "./algorithms.ts";
export { parseJwkSet } from "./issuer-keys.ts";
export * from "./issuers-error.ts";
export * from "./logout-token.ts";
export * from "./parse-issuers.ts";
export { type MappedRole, mappedRoles } from "./roles.ts";
export * from "./verify.ts";
