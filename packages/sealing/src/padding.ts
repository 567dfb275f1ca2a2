const smallestBucket = 64;
const marker = 0x80;

/**
 * How many octets a plaintext of `length` takes when it is padded: a multiple of 64, from 2 KiB on of the unit of
 * Padme (Nikitin and others, "Reducing Metadata Leakage from Encrypted Files", PETS 2019), so that a size gives away
 * little and costs less than an eighth. One octet is always added: the marker.
 */
export function paddedLength(length: number): number {
  const wanted = length + 1;
  const exponent = Math.floor(Math.log2(wanted));
  const unit = 2 ** Math.max(0, exponent - Math.floor(Math.log2(exponent || 1)) - 1);
  const bucket = Math.max(smallestBucket, unit);
  return Math.ceil(wanted / bucket) * bucket;
}

/** What follows a plaintext of `length`, up to its padded length: 0x80 and zeros (ISO/IEC 7816-4). */
export function padding(length: number): Buffer {
  const behind = Buffer.alloc(paddedLength(length) - length);
  behind[0] = marker;
  return behind;
}

/** What was padded, without a copy; undefined when the bytes do not end in their `padding`. */
export function unpad(padded: Buffer): Buffer | undefined {
  let end = padded.length - 1;
  while (end >= 0 && padded[end] === 0) end -= 1;
  if (padded[end] !== marker || paddedLength(end) !== padded.length) return undefined;
  return padded.subarray(0, end);
}
