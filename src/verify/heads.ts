/** The heads by the fixtures' names. */
import { KronogradError } from '../errors.js';
import { type Head, halfSquaredError, sigmoidCrossEntropy, softmaxCrossEntropy } from '../model/losses.js';

const heads: Readonly<Record<string, Head>> = {
  half_squared_error: halfSquaredError,
  softmax_ce: softmaxCrossEntropy,
  sigmoid_bce: sigmoidCrossEntropy,
};

export function headNamed(name: unknown): Head {
  const head = heads[String(name)];
  if (head === undefined)
    throw new KronogradError('FIXTURE', `there is no head '${name}'`, {
      where: 'config.head',
      fix: `use one of: ${Object.keys(heads).join(', ')}`,
    });
  return head;
}
