/**
 * The weights and the batch that every engine starts from, made by a generator that is a few lines in any
 * language.
 */
import type { Workload } from './workload.js';

/** Biases (two for each layer, as PyTorch has them, and the head's) start at zero. */
export interface ReferenceWeights {
  /** Gates in the order i, f, g, o. */
  readonly layers: readonly {
    /** [features of the input, 4 hidden] */
    readonly input: Float32Array;
    /** [hidden, 4 hidden] */
    readonly recurrent: Float32Array;
  }[];
  /** [hidden, vocabulary] */
  readonly head: Float32Array;
}

/** Time-major: element t * batch + b. */
export interface ReferenceBatch {
  readonly characters: Int32Array;
  readonly targets: Int32Array;
}

/** Mulberry32: uniform in [0, 1). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Uniform in +-1/sqrt(hidden). */
export function referenceWeights({ hidden, layers, vocabulary }: Workload): ReferenceWeights {
  const random = generator(1234);
  const scale = 1 / Math.sqrt(hidden);
  const matrix = (rows: number, columns: number) =>
    Float32Array.from({ length: rows * columns }, () => (random() * 2 - 1) * scale);
  return {
    layers: Array.from({ length: layers }, (_, layer) => ({
      input: matrix(layer === 0 ? vocabulary : hidden, 4 * hidden),
      recurrent: matrix(hidden, 4 * hidden),
    })),
    head: matrix(hidden, vocabulary),
  };
}

const TEXT = 'the quick brown fox jumps over the lazy dog. '.repeat(50);

/** The text read at `batch` places side by side, and the characters that follow. */
export function referenceBatch({ batch, unroll, vocabulary }: Workload): ReferenceBatch {
  const alphabet = [...new Set(TEXT)].sort();
  const ids = [...TEXT].map((character) => alphabet.indexOf(character) % vocabulary);
  const apart = Math.floor(ids.length / batch);
  const read = (ahead: number) =>
    Int32Array.from(
      { length: unroll * batch },
      (_, n) => ids[((n % batch) * apart + Math.floor(n / batch) + ahead) % ids.length]!,
    );
  return { characters: read(0), targets: read(1) };
}

/** A matrix [rows, columns] as [columns, rows]. */
export function transposed(matrix: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) result[j * rows + i] = matrix[i * columns + j]!;
  return result;
}
