import { runArea } from "./run-area.ts";

await runArea("web-socket");
