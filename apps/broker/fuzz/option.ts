/** The whole number behind `name` on the command line; ends the process with 2 when it is none. */
export function numberOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(name);
  const value = at === -1 ? fallback : Number(process.argv[at + 1]);
  if (Number.isInteger(value) && value >= 0) return value;
  console.error(`${name} must be followed by a whole number`);
  process.exit(2);
}
