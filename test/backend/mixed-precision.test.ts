/** The gradients of every kind of model in mixed precision, on the backends, against float64 with the same roundings. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { runOnce } from '../../src/backend/host-program.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { mixedPrecision } from '../../src/schedule/mixed-precision.js';
import { gradientOf, inputsOf, models } from '../support/models.js';
import { expectClose } from '../support/numbers.js';

const all = Object.keys(models);
/** A GPU in software compiles for seconds. */
const some = [
  'gru',
  'peephole-lstm',
  'layer-norm-lstm',
  'a projection',
  'an embedding',
  'both directions',
  'attention',
];

const backends: [string, string[], () => Promise<Backend>][] = [
  ['the CPU in float32', all, async () => new Float32Backend()],
  ['WebGPU', [...some, 'feed-forward'], () => createDawnBackend()],
];

/**
 * Relative to the largest element. Where float32 and float64 fall on two sides of the middle between two halves, one operand
 * differs by 2^-11 of itself, one of many; that they do is rare.
 */
const TOLERANCE = 1e-3;

describe.each(backends)('on %s', (where, names, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  it.each(names)('%s', { timeout: 180_000 }, async (name) => {
    const model = models[name]!;
    const program = mixedPrecision(gradientOf(model));
    const inputs = inputsOf(model);
    const [found, wanted] = [await runOnce(backend, program, inputs), interpret(program, inputs)];
    const errors = Object.keys(wanted).map((key) => expectClose(found[key]!, wanted[key]!, TOLERANCE, key));
    console.log(`${name} on ${where}: ${Math.max(...errors).toExponential(1)}`);
    expect(errors.length).toBe(2);
  });
});
