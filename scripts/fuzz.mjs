// npm run fuzz: every *.fuzz.ts on both runtimes, with equal shares of the time. `--seconds N` changes the total.
import { findFiles } from "./files.mjs";
import { runGroup, runtimeCommand } from "./process.mjs";

const defaultSeconds = 660;
const graceMs = 120_000;

export async function fuzz(words) {
  const { seconds, rest } = takeSeconds(words);
  const files = findFiles(".fuzz.ts").filter(
    (path) => rest.length === 0 || rest.some((word) => path.includes(word)),
  );
  if (files.length === 0) throw new Error("no fuzz files were found");
  const share = Math.max(1, Math.ceil(seconds / files.length / 2));
  let failures = 0;
  for (const file of files) {
    for (const name of ["bun", "node"]) {
      console.log(`${file} on ${name}, ${share} s`);
      const command = [...runtimeCommand(name), file, "--seconds", String(share)];
      const onLine = (line) => console.log(`  ${line}`);
      const { code, timedOut } = await runGroup(command, {
        onLine,
        limitMs: share * 1000 + graceMs,
      });
      if (timedOut) console.log("  did not end in time and was killed");
      if (code !== 0) failures += 1;
    }
  }
  console.log(`fuzz: ${files.length * 2} runs of ${share} s, ${failures} failed`);
  return failures === 0 ? 0 : 1;
}

function takeSeconds(words) {
  const at = words.indexOf("--seconds");
  if (at < 0) return { seconds: defaultSeconds, rest: words };
  const seconds = Number(words[at + 1]);
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error("--seconds takes a whole number");
  return { seconds, rest: words.filter((_, i) => i !== at && i !== at + 1) };
}
