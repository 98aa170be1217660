/** Training in mixed precision by subgroup matrices: which products have them, and that the numbers are the same. */
import { describe, expect, it } from 'vitest';
import { matrixKernels } from '../../../kernels/gemm_matrix.js';
import { defaultLimits, generateKernel, type KernelLimits } from '../../../kernels/index.js';
import { type Part, stagesOf } from '../../../kernels/task.js';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import { CounterRandom } from '../../../src/data/random.js';
import { batchInputs } from '../../../src/model/batch-inputs.js';
import { LanguageModel } from '../../../src/model/language-model.js';
import { gradient } from '../../../src/program/adjoint.js';
import { Builder } from '../../../src/program/builder.js';
import { float } from '../../../src/program/program.js';
import { compose } from '../../../src/schedule/compose.js';
import type { ComposedSchedule } from '../../../src/schedule/composed.js';
import { schedule } from '../../../src/schedule/index.js';
import { mixedPrecision } from '../../../src/schedule/mixed-precision.js';
import { openUnfinished } from '../../kernels/gpu.js';
import { runOnce } from '../../support/backend-cases.js';
import { expectClose, randomInputs } from '../../support/numbers.js';

interface Sizes {
  readonly hidden: number;
  readonly layers: number;
  readonly samples: number;
  readonly steps: number;
}

/** The loss and the gradient of an LSTM on 40 characters, in mixed precision. */
function trainingStep({ hidden, layers, samples, steps }: Sizes) {
  const on = new Builder();
  const model = new LanguageModel({ cell: 'lstm', vocabulary: 40, hidden, layers, embedding: 'one-hot' });
  const theta = on.input('theta', float(model.parameters.size));
  const { loss } = model.forward(on, { theta, ...batchInputs(on, model, { steps, samples }) });
  const [slope] = gradient(on, loss, [theta]);
  return { model, program: mixedPrecision(on.build({ loss, gradient: slope! })) };
}

/** How many products of a composed schedule there are, outside of workgroups with few rows each, and by which kernels. */
function productsOf({ buffers, steps }: ComposedSchedule, limits: KernelLimits) {
  const tasks = steps.flatMap((step) => (step.kind === 'loop' ? step.tasks : [step])).map(({ task }) => task);
  const parts = tasks.flatMap((task): readonly Part[] => (task.kind === 'parallel' ? task.parts : [task]));
  const products = parts.filter((part) => part.kind !== 'sequence').flatMap(stagesOf);
  const codes = tasks.map((task) => generateKernel(task, buffers, limits).code);
  return {
    products: products.filter(({ kind }) => kind === 'gemm').length,
    byMatrices: codes.reduce((count, code) => count + (code.match(/^alias Left/gm)?.length ?? 0), 0),
  };
}

describe('a training step in mixed precision', () => {
  it('has subgroup matrices for all of its large products, on a GPU that has them', () => {
    const limits: KernelLimits = {
      ...defaultLimits,
      maxComputeInvocationsPerWorkgroup: 1024,
      maxComputeWorkgroupStorageSize: 49152,
      halves: true,
      subgroups: { min: 32, max: 32 },
      subgroupMatrices: [{ componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 }],
      matrixKernels,
    };
    const { program } = trainingStep({ hidden: 256, layers: 2, samples: 64, steps: 64 });
    const { products, byMatrices } = productsOf(compose(schedule(program), limits, 'auto'), limits);
    expect(products).toBeGreaterThanOrEqual(9);
    expect(byMatrices).toBe(products);
  });

  it('has the loss and the gradient of float64 with the same roundings', { timeout: 180_000 }, async ({
    skip,
  }) => {
    using backend = await openUnfinished();
    const { kernelLimits } = backend.device;
    skip(kernelLimits.subgroupMatrices.length === 0, `${backend.description} has no subgroup matrices`);
    // Whatever the rules say of a CPU that plays GPU; large tiles take it seconds each to compile.
    const limits = { ...kernelLimits, directRead: null, maxComputeWorkgroupStorageSize: 4096 };
    Object.assign(backend.device, { kernelLimits: limits });
    const { model, program } = trainingStep({ hidden: 20, layers: 1, samples: 9, steps: 3 });
    const { byMatrices } = productsOf(compose(schedule(program), limits, 'auto'), limits);
    expect(byMatrices).toBeGreaterThanOrEqual(4);
    const inputs = {
      ...randomInputs(program, 4, (_, { shape }) =>
        Array.from({ length: shape[0]! * shape[1]! }, (_, i) => (i * 7) % 40),
      ),
      theta: model.parameters.initial(new CounterRandom(2, 3)),
    };
    const actual = await runOnce(backend, program, inputs);
    const wanted = interpret(program, inputs);
    // Where float32 rounds to the other half than float64, by 2^-11 of what is rounded.
    for (const name of ['loss', 'gradient']) {
      const error = expectClose(actual[name]!, wanted[name]!, 1e-3, name);
      console.log(`${byMatrices} products by matrices, ${name}: ${error.toExponential(2)} of 1e-3`);
    }
  });
});
