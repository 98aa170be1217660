/** The training step of a language model, exactly as `kronograd train` runs it. */

import { resetState } from '../backend/program-tensors.js';
import { CounterRandom } from '../data/random.js';
import { LanguageModel } from '../model/language-model.js';
import type { RecurrentOptions } from '../model/recurrent.js';
import { adam } from '../optim/adam.js';
import { INITIAL_SCALING, SCALING } from '../train/loss-scaling.js';
import { type Precision, stepScalars, trainingStep } from '../train/step-program.js';
import { NaiveLstm } from './naive-lstm.js';
import { type ReferenceWeights, referenceBatch, referenceWeights, transposed } from './reference.js';
import type { Work } from './work.js';
import { describeWorkload, LEARNING_RATE, tokensOf, type Workload } from './workload.js';

const RING_LENGTH = 64;

/**
 * Every step starts from a state of zeros and sees the same batch, as the other engines' steps do. Of the
 * LSTM there are reference weights and a naive loop; other cells start from weights of their own.
 * @throws KronogradError OPTION for an unknown cell.
 */
export function trainingWork(
  cell: string,
  workload: Workload,
  { recompute, precision = 'float32' }: Pick<RecurrentOptions, 'recompute'> & { precision?: Precision } = {},
): Work {
  const { name, batch, unroll, hidden, layers, vocabulary } = workload;
  const model = new LanguageModel({ cell, vocabulary, hidden, layers, embedding: 'one-hot', recompute });
  const optimizer = adam();
  const options = { unroll, optimizer, clip: 0, dropout: 0, ringLength: RING_LENGTH, precision };
  const atBatch = (r: number) => trainingStep(model, { ...options, batch: r });
  const isLstm = cell === 'lstm';
  return {
    name: cell,
    workload: name,
    description: describeWorkload(workload),
    sizes: { batch, unroll, hidden, layers, vocabulary },
    tokens: tokensOf(workload),
    program: atBatch(batch),
    precision,
    atBatch,
    load(tensors) {
      const { characters, targets } = referenceBatch(workload);
      tensors.theta!.write(
        isLstm
          ? flatWeights(model, workload, referenceWeights(workload))
          : model.parameters.initial(new CounterRandom(1)),
      );
      tensors[SCALING]?.write(INITIAL_SCALING);
      tensors.characters!.write(characters);
      tensors.targets!.write(targets);
    },
    beforeStep(tensors, n) {
      tensors.scalars!.write(stepScalars(options, { step: n + 1, learningRate: LEARNING_RATE }));
      resetState(tensors);
    },
    async loss(tensors, n) {
      return (await tensors.losses!.read())[n % RING_LENGTH]!;
    },
    ...(isLstm && {
      reference: workload,
      naive() {
        const lstm = new NaiveLstm(workload, referenceWeights(workload), referenceBatch(workload));
        return () => lstm.step();
      },
    }),
  };
}

/** The reference weights in the model's order and PyTorch's layout, [outputs, inputs]. */
function flatWeights(model: LanguageModel, workload: Workload, weights: ReferenceWeights): Float32Array {
  const { hidden, vocabulary } = workload;
  const { parameters } = model;
  const theta = new Float32Array(parameters.size);
  const put = (name: string, matrix: Float32Array, outputs: number) =>
    parameters.part(theta, name).set(transposed(matrix, matrix.length / outputs, outputs));
  weights.layers.forEach(({ input, recurrent }, l) => {
    put(`lstm.weight_ih_l${l}`, input, 4 * hidden);
    put(`lstm.weight_hh_l${l}`, recurrent, 4 * hidden);
  });
  put('head.weight', weights.head, vocabulary);
  return theta;
}
