import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { printable } from "@wardmq/events";
import { Failure, systemCode } from "./failure.ts";

/** A file's text, read while the command line is: then its path is still relative to where the user is. */
export function readHere(path: string): string {
  try {
    return readFileSync(resolve(path), "utf8");
  } catch (error) {
    const why = systemCode(error) ?? "unreadable";
    throw new Failure(2, `cannot read ${printable(path)}: ${why}`, "name a file that you can read");
  }
}

/** An address, or a path that is relative to where the user is and not to the deployment. */
export function placeHere(place: string): string {
  return place.includes("://") ? place : resolve(place);
}
