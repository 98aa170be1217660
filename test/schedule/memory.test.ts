/** The arena against the most that is alive at one time, below which no plan can go. */
import { expect, it } from 'vitest';
import { resolveWorkload, WORKLOADS } from '../../src/bench/workload.js';
import { hessianVector } from '../../src/curvature/products.js';
import { batchInputs } from '../../src/model/batch-inputs.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { adam } from '../../src/optim/adam.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { distribute } from '../../src/schedule/distribute.js';
import { schedule } from '../../src/schedule/index.js';
import { lower } from '../../src/schedule/lower.js';
import { dropDeadStores, lifetimes, planMemory } from '../../src/schedule/memory.js';
import { mixedPrecision } from '../../src/schedule/mixed-precision.js';
import { arenaBytesOf, divideBuffers } from '../../src/schedule/schedule.js';
import { trainingStep } from '../../src/train/step-program.js';

/** Elements of an arena, and of its temporaries alive at the step where they are most. */
function memory(program: Program, dtype: 'float' | 'half'): { arena: number; bound: number } {
  const { steps: lowered, allocations } = lower(distribute(program));
  const steps = dropDeadStores(lowered, allocations);
  const spans = [...lifetimes(steps, allocations)].filter(([id]) => allocations[id]!.dtype === dtype);
  const alive = steps.map((_, i) =>
    spans.reduce((sum, [id, { from, to }]) => sum + (from <= i && i <= to ? allocations[id]!.length : 0), 0),
  );
  const { arenas } = divideBuffers(planMemory(steps, allocations).buffers);
  return { arena: arenas.find((each) => each.dtype === dtype)!.length, bound: Math.max(...alive) };
}

function holds(program: Program, dtype: 'float' | 'half' = 'float'): void {
  const { arena, bound } = memory(program, dtype);
  console.log(`arena ${arena} ${dtype}s, bound ${bound}, ratio ${(arena / bound).toFixed(3)}`);
  expect(arena).toBeGreaterThanOrEqual(bound);
  expect(arena).toBeLessThanOrEqual(1.15 * bound);
}

it.each(WORKLOADS)('a training step of $name', ({ batch, unroll, vocabulary, hidden, layers }) => {
  for (const cell of ['lstm', 'gru', 'augmented-lstm']) {
    const model = new LanguageModel({ cell, vocabulary, hidden, layers, embedding: 'one-hot' });
    const step = trainingStep(model, {
      ...{ batch, unroll, optimizer: adam(), clip: 1, dropout: 0, ringLength: 16 },
    });
    holds(step);
    const mixed = mixedPrecision(step);
    for (const dtype of ['float', 'half'] as const) holds(mixed, dtype);
    const [plain, halved] = [step, mixed].map((program) => arenaBytesOf(schedule(program), true)) as [
      number,
      number,
    ];
    console.log(`${cell}: ${plain} bytes in float32, ${halved} in mixed precision`);
    // In the smallest one parameters are most of it.
    if (hidden >= 64) expect(halved).toBeLessThan(0.75 * plain);
  }
});

it('a Hessian-vector product', () => {
  const { batch, unroll, vocabulary, hidden } = resolveWorkload('M');
  const model = new LanguageModel({ cell: 'lstm', vocabulary, hidden, layers: 1, embedding: 'one-hot' });
  const on = new Builder();
  const [theta, vector] = [
    on.input('theta', float(model.parameters.size)),
    on.input('v', float(model.parameters.size)),
  ];
  const { loss } = model.forward(on, { theta, ...batchInputs(on, model, { steps: unroll, samples: batch }) });
  holds(on.build({ product: hessianVector(on, loss, [theta], [vector]).product[0]! }));
});
