/** A text as JSON, or undefined when it is none. */
export function parseJsonFile(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether a value is an object with exactly these keys: an unknown one is an error. */
export function hasExactly(
  value: unknown,
  keys: readonly string[],
): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).sort().join() === [...keys].sort().join()
  );
}
