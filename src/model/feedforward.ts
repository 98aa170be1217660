/** The feed-forward network (Naumov, eq. 10-11; math.md section 2): y_k = W_k z_{k-1} + b_k, z_k = f_k(y_k). */
import type { ActivationName } from '../cells/equations.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';

export interface DenseLayer {
  /** [m_k, m_{k-1}] */
  readonly weight: Value;
  /** [m_k] */
  readonly bias: Value;
  readonly activation: ActivationName;
}

/** Every layer's y_k and z_k, [r, m_k], for z_0 = x [r, n]. */
export function feedForward(on: Builder, x: Value, layers: readonly DenseLayer[]): { y: Value; z: Value }[] {
  let z = x;
  return layers.map(({ weight, bias, activation }) => {
    const y = on.add(on.linear(z, weight), bias);
    z = activation === 'identity' ? y : on.call(activation, y);
    return { y, z };
  });
}

/** A weight that holds its bias as its last column, [m, n + 1], taken apart. */
export function splitBias(on: Builder, weight: Value): { weight: Value; bias: Value } {
  const [m, columns] = weight.type.shape as [number, number];
  return {
    weight: on.slice(weight, 1, 0, columns - 1),
    bias: on.reshape(on.slice(weight, 1, columns - 1, 1), [m]),
  };
}
