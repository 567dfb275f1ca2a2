export * from "./catalogue.ts";
export * from "./printable.ts";
