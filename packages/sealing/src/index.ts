export * from "./key-ring.ts";
export * from "./padding.ts";
export * from "./recipient.ts";
export * from "./seal-error.ts";
export * from "./sealed-stream.ts";
