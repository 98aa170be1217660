/** Hessian products with several vectors at once, of every cell: the stages against the program they come from. */
import { expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cells } from '../../src/cells/index.js';
import { hessianVector } from '../../src/curvature/products.js';
import { batchInputs } from '../../src/model/batch-inputs.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { ids } from '../support/programs.js';
import { runSchedule } from '../support/run-schedule.js';

it.each(Object.keys(cells))('%s', (cell) => {
  const [T, r, k] = [3, 2, 3];
  const model = new LanguageModel({ cell, vocabulary: 5, hidden: 4, layers: 2, embedding: 3 });
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const vectors = on.input('vectors', float(k, model.parameters.size));
  const { loss } = model.forward(on, { theta, ...batchInputs(on, model, { steps: T, samples: r }) });
  const { product } = hessianVector(on, loss, [theta], [vectors]);
  const program = on.build({ product: product[0]! });
  const inputs = randomInputs(program, 3, ids);
  const { product: wanted } = interpret(program, inputs);
  expect(wanted!.length).toBe(k * model.parameters.size);
  expectClose(runSchedule(schedule(program), inputs).product!, wanted!, 1e-12);
});
