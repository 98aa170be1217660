/**
 * Dot-product attention of every step over all hidden states so far (HSK, eq. 2-4; math.md section 9), for all
 * steps at once: S = H K', alpha = softmax of the allowed scores, Z = alpha K.
 */
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';

export interface Attention {
  /** [T, r, m] */
  readonly Z: Value;
  /** [T, r, keys]: the weight of key i at step t. */
  readonly alpha: Value;
}

/**
 * @param h [T, r, m]
 * @param first h_0 [r, m], to be attended to as well, before h_1; null: the keys are h_1..h_t.
 */
export function attendToPast(on: Builder, h: Value, first: Value | null = null): Attention {
  const [length, r, m] = h.type.shape as [number, number, number];
  const earlier = first === null ? 0 : 1;
  const all = first === null ? h : on.concat([on.reshape(first, [1, r, m]), h], 0);
  const keys = on.transpose(all, [1, 0, 2]);
  const queries = on.transpose(h, [1, 0, 2]);
  const scores = on.gemm(queries, keys, { transB: true }); // (2)
  const shape = [length, length + earlier];
  // Key i belongs to step i - earlier; a step sees itself and what came before.
  const future = on.call('greater', on.iota(shape, 1), on.add(on.iota(shape, 0), on.constant(earlier)));
  // Far below any score, and no infinity, whose differences would be NaN.
  const alpha = on.softmax(on.call('select', future, on.constant(-1e30), scores)); // (3)
  return {
    Z: on.transpose(on.gemm(alpha, keys), [1, 0, 2]), // (4)
    alpha: on.transpose(alpha, [1, 0, 2]),
  };
}
