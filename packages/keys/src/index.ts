export * from "./key-environment.ts";
export * from "./key-file.ts";
export * from "./key-provider.ts";
export * from "./key-providers.ts";
export * from "./keys-error.ts";
export * from "./private-files.ts";
export * from "./private-key-file.ts";
export * from "./signer.ts";
