/** What is asked of operators and their products before anything is made of them. */
import { KronogradError } from '../errors.js';
import type { LinearOperator } from './linear-operator.js';

/** The size of a square operator. `only` is what it alone has. @throws KronogradError SHAPE */
export function requireSquare({ shape }: LinearOperator, only: string, where: string): number {
  const [n, columns] = shape;
  if (n === columns) return n;
  throw new KronogradError('SHAPE', `the operator is [${shape}], and only square ones have ${only}`, {
    where,
    fix: 'give a square operator',
  });
}

/** For a product, a prediction or another number of the model's that is NaN or infinite. */
export const notFinite = (what: string, where: string): KronogradError =>
  new KronogradError('DIVERGED', `${what} not finite`, {
    where,
    fix: 'look at the loss, the parameters and the data: one of them is NaN, infinite or too large',
  });
