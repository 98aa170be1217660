/**
 * Threefry-2x32 with 20 rounds, the counter-based generator of Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 *
 * A pure function of a key and a counter: nothing is carried from one draw to the next, so any element of a
 * dropout mask can be computed alone, in any order, on any backend, with the same bits.
 */

/**
 * The constant of the key schedule ("Skein's parity"), which keeps an all-zero key from being a fixed point.
 */
const PARITY = 0x1bd11bda;

/** Rotation distances of eight successive rounds; they repeat. */
const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;

const ROUNDS = 20;
const ROUNDS_BETWEEN_KEYS = 4;

/**
 * Encrypts a 64-bit counter under a 64-bit key, each given as two 32-bit words.
 * Returns two independent words, unsigned (0 .. 2^32 - 1).
 */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  const keys = [key0, key1, PARITY ^ key0 ^ key1] as const;
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const distance = ROTATIONS[round % ROTATIONS.length]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << distance) | (x1 >>> (32 - distance))) ^ x0;
    if ((round + 1) % ROUNDS_BETWEEN_KEYS === 0) {
      const injection = (round + 1) / ROUNDS_BETWEEN_KEYS;
      x0 = (x0 + keys[injection % 3]!) | 0;
      x1 = (x1 + keys[(injection + 1) % 3]! + injection) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}
