const width = 30;

/** A bar on standard error that says how much of `total` is done; nothing where nobody looks. */
export function progressBar(total: number): { show(done: number): void; end(): void } {
  const { stderr } = process;
  if (!stderr.isTTY) return { show: () => {}, end: () => {} };
  return {
    show: (done) => {
      const filled = total === 0 ? width : Math.floor((done / total) * width);
      const bar = "#".repeat(filled).padEnd(width);
      stderr.write(`\r[${bar}] ${done.toLocaleString("en")} of ${total.toLocaleString("en")}`);
    },
    end: () => void stderr.write("\n"),
  };
}
