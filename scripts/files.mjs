import { readdirSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./process.mjs";

const places = ["packages", "apps", "test", "bench", "scripts"];

/** Every file of the repository whose name ends so, in a fixed order, relative to the repository. */
export function findFiles(ending) {
  return places.flatMap((place) => below(place, ending)).sort();
}

function below(folder, ending) {
  let entries;
  try {
    entries = readdirSync(join(repository, folder), { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : below(path, ending);
    return entry.isFile() && entry.name.endsWith(ending) ? [path] : [];
  });
}
