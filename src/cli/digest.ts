import { createHash } from 'node:crypto';

/** What `update` takes at once is below 2 GiB. */
const PART = 2 ** 26;

/** The SHA-256 of numbers as they lie in memory, in hexadecimal; without a copy, as numbers may be many. */
export function digestOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): string {
  const hash = createHash('sha256');
  for (let at = 0; at < byteLength; at += PART)
    hash.update(new Uint8Array(buffer, byteOffset + at, Math.min(PART, byteLength - at)));
  return hash.digest('hex');
}
