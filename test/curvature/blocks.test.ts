import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { cells } from '../../src/cells/index.js';
import { gaussNewtonBlock, hessianBlock } from '../../src/curvature/blocks.js';
import { toDense } from '../../src/curvature/dense.js';
import {
  type CurvatureProblem,
  gaussNewtonOperator,
  hessianOperator,
} from '../../src/curvature/model-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { sizeOf } from '../../src/program/program.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

/** Where a parameter's elements are in theta. */
function rangeOf({ parameters: { specs } }: Model, name: string): [from: number, to: number] {
  const at = specs.findIndex((s) => s.name === name);
  const from = specs.slice(0, at).reduce((sum, s) => sum + sizeOf(s.shape), 0);
  return [from, from + sizeOf(specs[at]!.shape)];
}

/** Every pair of parameters: the block is that part of the full matrix. */
async function expectBlocksOfWhole(problem: CurvatureProblem): Promise<void> {
  const { model } = problem;
  const names = model.parameters.specs.map((s) => s.name);
  for (const [whole, block] of [
    [hessianOperator, hessianBlock],
    [gaussNewtonOperator, gaussNewtonBlock],
  ] as const) {
    using operator = whole(space, problem);
    const full = await toDense(operator);
    const scale = Math.max(...full.flat().map(Math.abs));
    expect(scale).toBeGreaterThan(0);
    // Neighbours and the block itself: every kind of pair, not every pair.
    for (const [i, row] of names.entries())
      for (const column of [row, names[(i + 1) % names.length]!]) {
        using part = block(space, problem, row, column);
        const [[r0, r1], [c0, c1]] = [rangeOf(model, row), rangeOf(model, column)];
        const expected = full.slice(r0, r1).map((line) => line.slice(c0, c1));
        const ours = await toDense(part);
        expectClose(ours.flat(), expected.flat(), 1e-12, `${row} ${column}`, scale);
        if (row === column) continue;
        const across = await toDense(part.adjoint);
        expectClose(
          across.flat(),
          ours[0]!.flatMap((_, j) => ours.map((line) => line[j]!)),
          1e-12,
          'adjoint',
          scale,
        );
      }
  }
}

const models: [string, Model][] = [
  ...Object.keys(cells).map((cell): [string, Model] => [
    cell,
    smallSequenceModel(cell, { hidden: cell.startsWith('multi-head') ? 4 : 3 }),
  ]),
  [
    'gru in both directions, masked',
    smallSequenceModel('lstm', { layers: 2, hidden: 2, bidirectional: true, masked: true, perStep: false }),
  ],
  ['rnn with attention', smallSequenceModel('naumov-rnn', { attention: true }, 'softmax-cross-entropy')],
  [
    'projected lstm, sigmoid cross-entropy',
    smallSequenceModel('lstm', { projection: 2 }, 'sigmoid-cross-entropy'),
  ],
  [
    'language model',
    new LanguageModel({ cell: 'gru', vocabulary: 3, hidden: 2, layers: 1, embedding: 'one-hot' }),
  ],
  [
    'feed-forward',
    new FeedForwardModel({
      steps: 2,
      features: 2,
      hidden: [3, 2],
      activation: 'softplus',
      outputs: 2,
      perStep: false,
      loss: 'softmax-cross-entropy',
    }),
  ],
];

describe('blocks are parts of the full matrix', () => {
  test.each(models)('%s', async (_, model) => {
    const problem = randomProblem(space.backend, model, { steps: 2, samples: 2 });
    using _theta = problem.theta;
    await expectBlocksOfWhole(problem);
  });
});

test('an unknown parameter is refused with the names there are', () => {
  const problem = randomProblem(space.backend, smallSequenceModel('rnn'), { steps: 1, samples: 1 });
  using _theta = problem.theta;
  expect(() => hessianBlock(space, problem, 'rnn.weight')).toThrow(
    expect.objectContaining({ code: 'OPTION', fix: expect.stringContaining('rnn.weight_ih_l0') }),
  );
});
