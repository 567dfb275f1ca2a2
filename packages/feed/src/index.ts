export * from "./message.ts";
export * from "./world.ts";
