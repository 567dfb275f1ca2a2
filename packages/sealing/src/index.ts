export * from "./key-ring.ts";
export * from "./padding.ts";
export * from "./seal-error.ts";
