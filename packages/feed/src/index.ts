export * from "./broker-message.ts";
export * from "./feed-error.ts";
export * from "./lines.ts";
export * from "./message.ts";
export * from "./packed-subject.ts";
export * from "./policy-use.ts";
export * from "./signed.ts";
export * from "./world.ts";
