/** Cases that hold singular values of step Jacobians and of their products (math.md section 12). */
import type { Backend } from '../backend/backend.js';
import { recurrenceCertificates } from '../diagnostics/certificates.js';
import { type LayerTrace, layerOutputs, readLayer } from '../diagnostics/layer-trace.js';
import { DenseSpectra } from '../diagnostics/spectra.js';
import { stepJacobians } from '../diagnostics/step-jacobians.js';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import { Builder } from '../program/builder.js';
import type { FixtureCase, Tensors } from './fixture.js';
import type { Comparison } from './preprocessing.js';
import { asTensors, declare, runOnce } from './run.js';
import type { System } from './system.js';

/**
 * What the case expects beside what is computed.
 * @throws KronogradError FIXTURE for a case without a recurrent layer of its own
 */
export async function compareDiagnostics(
  backend: Backend,
  system: System,
  given: FixtureCase,
): Promise<{ comparisons: Comparison[]; unsupported: string[] }> {
  const on = new Builder();
  const { layer } = declare(on, system, given).network;
  if (layer === undefined)
    throw new KronogradError('FIXTURE', `system '${given.system}' has no recurrent layer to diagnose`, {
      where: given.name,
      fix: 'use a system of one recurrent cell',
    });
  const named = { ...layer, name: given.name };
  const inputs = { ...given.params, ...given.data };
  const outputs = layerOutputs(named, 'layer.');
  const trace = readLayer(named, 'layer.', await runOnce(backend, on, outputs, inputs));
  const ours = await quantitiesOf(backend, trace);
  const theirs = expectedOf(given);
  const names = Object.keys(theirs);
  return {
    comparisons: names
      .filter((quantity) => ours[quantity] !== undefined)
      .map((quantity) => ({ quantity, ours: ours[quantity]!, theirs: theirs[quantity]! })),
    unsupported: names.filter((quantity) => ours[quantity] === undefined),
  };
}

/** By the fixtures' names. */
async function quantitiesOf(
  backend: Backend,
  trace: LayerTrace,
): Promise<Readonly<Record<string, ArrayLike<number>>>> {
  const { stateSize, samples, steps } = trace;
  const spectra = new DenseSpectra(trace);
  const jacobians = new Float64Array(steps * samples * stateSize ** 2);
  for await (const jacobian of stepJacobians(backend, trace)) {
    spectra.add(jacobian);
    jacobians.set(jacobian.matrix, (jacobian.step * samples + jacobian.sample) * stateSize ** 2);
  }
  const { steps: step, products } = spectra.result;
  const matrix = trace.cell.recurrence?.matrix;
  const numbers = recurrenceCertificates(trace, step.largest)?.numbers;
  return {
    step_jacobian: jacobians,
    step_jacobian_sigma_max: step.largest,
    step_jacobian_sigma_min: step.smallest,
    product_to_T_sigma_max: products.largest,
    product_to_T_sigma_min: products.smallest,
    ...(numbers && {
      gamma: [numbers.gamma],
      [`norm2_${matrix}`]: [numbers.norm],
      [`sigma_min_${matrix}`]: [numbers.smallestSingularValue],
      [`spectral_radius_${matrix}`]: [numbers.spectralRadius],
      [`spectral_radius_abs_${matrix}`]: [numbers.absoluteSpectralRadius],
    }),
  };
}

/** Tensors, and numbers as tensors of one. */
function expectedOf(given: FixtureCase): Tensors {
  const { expected } = given.rest;
  const entries = Object.entries(isRecord(expected) ? expected : {}).map(([name, value]) => [
    name,
    typeof value === 'number' ? { shape: [1], data: [value] } : value,
  ]);
  return asTensors(Object.fromEntries(entries), given, 'expected');
}
