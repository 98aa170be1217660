/** The Kronecker factors of a model on given batches, gathered on the backend: one run for each column that flows back. */
import type { Tensor } from '../backend/backend.js';
import { programTensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import { LOSSES } from '../model/losses.js';
import type { Model, ModelHead } from '../model/model.js';
import { gradient } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Program, type Shape, sizeOf, type Value } from '../program/program.js';
import { requireInteger } from '../ranges.js';
import {
  batchForward,
  type CurvatureBatch,
  type CurvatureProblem,
  requireBatches,
  writeBatch,
} from './batch-products.js';
import { headRoot } from './head-root.js';
import {
  blockFactors,
  blockVectors,
  factorBytes,
  type KfacBlock,
  type TimeTreatment,
  vectorCount,
} from './kfac-blocks.js';
import { precisionOf } from './precision.js';
import { drawVectors, SEED } from './random-vectors.js';
import type { VectorSpace } from './vector-space.js';

/**
 * What flows back. `exact` (KFLR: Botev, Ritter and Barber 2017, section 4): every column of the root of the head's
 * Hessian, for each step with an output by itself: T c runs for a batch, or c where a sequence has one output. `sampled`:
 * sums of those columns with random signs, of which the expectation is the same. `empirical`: the gradient of the loss.
 */
export type KfacSource = 'exact' | 'sampled' | 'empirical';

export interface KfacOptions {
  /** `sampled` unless given. */
  readonly source?: KfacSource;
  /** `expand` unless given. */
  readonly time?: TimeTreatment;
  /** Draws of what is `sampled`; 1 unless given. */
  readonly draws?: number;
  /** Of what is `sampled`; 0 unless given. */
  readonly seed?: number;
}

/** Both factors of a block, on a backend. */
export interface FactorTensors {
  readonly left: Tensor;
  readonly right: Tensor;
}

/**
 * The blocks of a problem and their factors, which belong to `scope`.
 * @throws KronogradError DATA, SHAPE for the batches, PROGRAM for a parameter without factors, OPTION, MEMORY
 */
export async function gatherFactors(
  space: VectorSpace,
  problem: CurvatureProblem,
  { source = 'sampled', time = 'expand', draws = 1, seed = 0 }: KfacOptions,
  scope: Scope,
): Promise<{ blocks: readonly KfacBlock[]; factors: readonly FactorTensors[] }> {
  requireBatches(problem, 'K-FAC');
  requireInteger(draws, 'draws', { min: 1 });
  requireInteger(seed, 'seed', SEED);
  const { batches, model, theta } = problem;
  const runs = batches.map((batch) => {
    const made = factorProgram(model, batch, source, time);
    const passes = { exact: columnCount(made.output), sampled: draws, empirical: 1 }[source];
    return { ...made, batch, passes };
  });
  const { blocks } = runs[0]!;
  requireRoomForFactors(space, blocks);
  const factors = factorTensors(space, blocks, scope);
  const bound = { theta, ...named(factors) };
  // What flowed forwards is met in every pass again.
  const shares = blocks.map(
    (_, i) => 1 / runs.reduce((sum, { counts, passes }) => sum + counts[i]! * passes, 0),
  );
  for (const [i, { program, output, batch, passes }] of runs.entries()) {
    using own = new Scope();
    const tensors = programTensors(space.backend, program, own, Object.keys(bound));
    const executable = own.own(await space.backend.compile(program));
    writeBatch(model, batch, tensors);
    tensors.scale!.write([Math.sqrt(batch.weight / (source === 'sampled' ? draws : 1))]);
    tensors.shares!.write(shares);
    for (let pass = 0; pass < passes; pass++) {
      if (source === 'exact') tensors.probe!.write(columnIndicator(output, pass));
      if (source === 'sampled')
        await drawVectors(space, tensors.probe!, 'signs', { seed, draw: pass * runs.length + i });
      executable.run({ ...tensors, ...bound });
    }
    // Before what the runs use is disposed of.
    await space.backend.finish();
  }
  return { blocks, factors };
}

/** Tensors of zeros for the factors of blocks, which belong to `scope`. */
export const factorTensors = (
  space: VectorSpace,
  blocks: readonly KfacBlock[],
  scope: Scope,
): FactorTensors[] =>
  blocks.map(({ left, right }) => ({
    left: scope.own(space.vector(...left)),
    right: scope.own(space.vector(...right)),
  }));

/** The factors of all blocks by the names that programs have for them. */
export const named = <Side>(factors: readonly { readonly left: Side; readonly right: Side }[]) =>
  Object.fromEntries(
    factors.flatMap(({ left, right }, i): [string, Side][] => [
      [`left.${i}`, left],
      [`right.${i}`, right],
    ]),
  );

/** Adds to the factors of each block those of one batch, for what flows back from one `probe`. */
function factorProgram(
  model: Model,
  { steps, samples }: Pick<CurvatureBatch, 'steps' | 'samples'>,
  source: KfacSource,
  time: TimeTreatment,
): { program: Program; blocks: KfacBlock[]; counts: number[]; output: Shape } {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { head } = batchForward(on, model, theta, { steps, samples });
  const { shape } = head.output.type;
  const root =
    source === 'empirical' ? rowScores(on, head) : headRoot(on, head, on.input('probe', float(...shape)));
  const flow = { theta, output: head.output, adjoint: on.mul(root, on.input('scale', float(1))) };
  const all = blockVectors(on, model.parameters, flow, { time, samples });
  const shares = on.split(on.input('shares', float(all.length)), 0, all.length);
  const sums = all.map((vectors, i) => {
    const { left, right } = blockFactors(on, vectors, on.reshape(shares[i]!, []));
    const add = (name: string, value: Value) => on.add(on.input(name, value.type), value);
    return { left: add(`left.${i}`, left), right: add(`right.${i}`, right) };
  });
  const updates = Object.entries(named(sums)).map(([name, value]) => [name, { value, updates: name }]);
  return {
    program: on.build(Object.fromEntries(updates)),
    blocks: all.map(({ block }) => block),
    counts: all.map(vectorCount),
    output: shape,
  };
}

/** The gradients by each row of the output, of which the weights are taken the roots. */
function rowScores(on: Builder, { name, output, targets, weight }: ModelHead): Value {
  return gradient(on, LOSSES[name](on, output, targets, on.call('sqrt', weight)), [output])[0]!;
}

/** The columns of the head's root for one sample: outputs, of each step by itself. */
const columnCount = (output: Shape): number => sizeOf(output) / output.at(-2)!;

/** Column `index` of I for each sample: [..., r, c] of ones at one feature of one step. */
function columnIndicator(output: Shape, index: number): Float32Array {
  const [samples, features] = output.slice(-2) as [number, number];
  const [step, feature] = [Math.floor(index / features), index % features];
  const probe = new Float32Array(sizeOf(output));
  for (let j = 0; j < samples; j++) probe[(step * samples + j) * features + feature] = 1;
  return probe;
}

function requireRoomForFactors({ backend }: VectorSpace, blocks: readonly KfacBlock[]): void {
  const { bytes } = precisionOf(backend);
  const { buffer, total } = backend.capacity;
  const needed = factorBytes(blocks, bytes);
  const largest = Math.max(
    ...blocks.flatMap(({ left, right }) => [left, right]).map((s) => bytes * sizeOf(s)),
  );
  if (needed <= total && largest <= buffer) return;
  const mebibytes = (n: number) => `${Math.ceil(n / 2 ** 20)} MiB`;
  const [limit, of] = largest > buffer ? [buffer, largest] : [total, needed];
  throw new KronogradError(
    'MEMORY',
    `the Kronecker factors need ${mebibytes(needed)}, ${mebibytes(largest)} of it in one matrix; there is room for ${mebibytes(limit)} where ${mebibytes(of)} would have to go`,
    {
      where: backend.description,
      fix: 'use fewer hidden units, or products that need no factors: gaussNewtonOperator, and conjugate gradients for its inverse',
    },
  );
}
