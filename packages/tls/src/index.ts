export * from "./admission.ts";
export * from "./arrivals.ts";
export * from "./environment.ts";
export * from "./handshake.ts";
export * from "./options.ts";
