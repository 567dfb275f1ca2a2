export * from "./errors.ts";
export * from "./packet.ts";
export * from "./properties.ts";
export * from "./reason-codes.ts";
export * from "./topic-filter.ts";
export * from "./topic-name.ts";
export * from "./utf8.ts";
export * from "./variable-byte-integer.ts";
