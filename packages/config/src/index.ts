export * from "./default-text.ts";
export * from "./document.ts";
export * from "./options.ts";
export {
  type Config,
  type ControlListeners,
  type Finding,
  type PublishedAddresses,
  parseConfig,
  trustDomainOf,
} from "./parse.ts";
export * from "./place-in.ts";
export * from "./problem.ts";
