export * from "./packet.ts";
export * from "./properties.ts";
