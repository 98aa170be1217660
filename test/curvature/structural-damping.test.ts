import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import type { CurvatureProblem } from '../../src/curvature/model-operator.js';
import { gaussNewtonOperator } from '../../src/curvature/model-operator.js';
import { structurallyDampedOperator } from '../../src/curvature/structural-damping.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel } from '../../src/model/sequence-model.js';
import { Builder } from '../../src/program/builder.js';
import { float, sizeOf } from '../../src/program/program.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

const STEPS = 3;
const SAMPLES = 2;
const random = new CounterRandom(7);
const normal = (n: number) => Float64Array.from({ length: n }, () => random.normal());

const targets = { outputs: 2, perStep: false, loss: 'mean-squared-error' } as const;

function problemOf(model: Model, parts: CurvatureProblem['batches'][0]['parts']) {
  const theta = space.vector(model.parameters.size);
  theta.write(model.parameters.initial(new CounterRandom(2)));
  return { model, theta, batches: [{ parts, steps: STEPS, samples: SAMPLES, weight: 1 }] };
}

/** All hidden states, [T r features] of each layer and direction in a row, as a function of the parameters. */
async function hiddenOf({ model, batches }: CurvatureProblem) {
  const on = new Builder();
  const types = { theta: float(model.parameters.size), ...model.batchTypes(STEPS, SAMPLES) };
  const inputs = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, on.input(name, type)]),
  );
  const { theta, ...batch } = inputs;
  const { layers } = model.forward(on, { theta: theta!, batch, state: {} });
  const flat = layers!.map(({ output }) => on.reshape(output, [sizeOf(output.type.shape)]));
  const hidden = on.concat(flat, 0);
  const executable = await space.backend.compile(on.build({ hidden }));
  const tensors = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, space.backend.tensor(type)]),
  );
  for (const [name, numbers] of Object.entries(batches[0]!.parts)) tensors[name]!.write(numbers);
  const out = space.vector(...hidden.type.shape);
  return async (at: Float64Array): Promise<number[]> => {
    tensors.theta!.write(at);
    executable.run({ ...tensors, hidden: out });
    return [...(await out.read())];
  };
}

describe("G v + c S v is G v and J' J v of the hidden states, J by central differences", () => {
  test.each([
    ['rnn', 1, false, false],
    ['lstm', 2, false, true],
    ['gru', 1, true, false],
  ] as const)(
    '%s, %i layers, both directions: %s, masked: %s',
    async (cell, layers, bidirectional, masked) => {
      const model = new SequenceModel({
        ...targets,
        ...{ cell, layers, bidirectional, masked, features: 2, hidden: 3 },
      });
      const problem = problemOf(model, {
        inputs: normal(STEPS * SAMPLES * 2),
        targets: normal(SAMPLES * 2),
        weight: Float64Array.of(0.5, 0.5),
        ...(masked ? { mask: Float64Array.of(1, 1, 1, 1, 1, 0) } : {}),
      });
      const { size } = model.parameters;
      const v = normal(size);
      const damping = { structural: 0.7 };
      using G = gaussNewtonOperator(space, problem);
      using damped = structurallyDampedOperator(space, problem, damping);

      const theta = (await problem.theta.read()) as Float64Array;
      const hiddenAt = await hiddenOf(problem);
      const step = 1e-5;
      const columns: number[][] = [];
      for (const j of theta.keys()) {
        const moved = (by: number) => theta.map((each, i) => each + (i === j ? by : 0));
        const [above, below] = [await hiddenAt(moved(step)), await hiddenAt(moved(-step))];
        columns.push(above.map((each, i) => (each - below[i]!) / (2 * step)));
      }
      const Jv = columns[0]!.map((_, i) => columns.reduce((sum, column, j) => sum + column[i]! * v[j]!, 0));
      const JtJv = columns.map((column) => column.reduce((sum, each, i) => sum + each * Jv[i]!, 0));
      const Gv = await G.matvec(v);
      const expected = JtJv.map((each, j) => Gv[j]! + (0.7 * each) / SAMPLES);
      const actual = await damped.matvec(v);
      const scale = Math.max(...expected.map(Math.abs));
      for (const [j, each] of expected.entries())
        expect(Math.abs(actual[j]! - each) / scale).toBeLessThan(1e-8);

      damping.structural = 0;
      const undamped = await damped.matvec(v);
      for (const [j, each] of Gv.entries()) expect(undamped[j]!).toBeCloseTo(each, 12);
    },
  );
});

test('a model without hidden states is refused', async () => {
  const model = new FeedForwardModel({
    ...targets,
    ...{ steps: STEPS, features: 1, hidden: [2], activation: 'tanh' },
  });
  const problem = problemOf(model, {
    inputs: normal(STEPS * SAMPLES),
    targets: normal(SAMPLES * 2),
    weight: Float64Array.of(0.5, 0.5),
  });
  using damped = structurallyDampedOperator(space, problem, { structural: 1 });
  await expect(damped.matvec(normal(model.parameters.size))).rejects.toMatchObject({ code: 'OPTION' });
});
