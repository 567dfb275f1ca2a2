/** The octets of an IPv4 or IPv6 address (4 or 16), or nothing when the text is no address. */
export function ipAddressOctets(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Octets(text) : ipv4Octets(text);
}

function ipv4Octets(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  const wellFormed =
    parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return wellFormed ? Uint8Array.from(parts, Number) : undefined;
}

/** RFC 4291 section 2.2, without zones; an IPv4 tail counts as two groups. */
function ipv6Octets(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, i) => groups(half, i === halves.length - 1));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 16 - head.length - (tail?.length ?? 0);
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  const octets = new Uint8Array(16);
  octets.set(head);
  octets.set(tail ?? [], 16 - (tail?.length ?? 0));
  return octets;
}

function groups(text: string, isEnd: boolean): readonly number[] | undefined {
  if (text === "") return [];
  const octets: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    const ipv4 =
      isEnd && i === parts.length - 1 && part.includes(".") ? ipv4Octets(part) : undefined;
    if (ipv4 !== undefined) octets.push(...ipv4);
    else if (/^[0-9a-fA-F]{1,4}$/.test(part))
      octets.push(parseInt(part, 16) >> 8, parseInt(part, 16) & 0xff);
    else return undefined;
  }
  return octets.length <= 16 ? octets : undefined;
}
