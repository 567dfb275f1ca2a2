/** Who acts through this process: only its own user gets to the files and to the sockets. */
export function currentActor(): string {
  return `uid:${process.getuid?.() ?? "unknown"}`;
}
