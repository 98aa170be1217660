/** The Kronecker factors of a model on given batches, gathered on the backend: pass by pass. */
import type { Executable, Tensor } from '../backend/backend.js';
import { mebibytes } from '../backend/capacity.js';
import { programTensors, type Tensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import { LOSSES } from '../model/losses.js';
import type { Model, ModelHead } from '../model/model.js';
import { gradient } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Shape, sizeOf, type Value } from '../program/program.js';
import { requireInteger } from '../ranges.js';
import {
  batchForward,
  type CurvatureBatch,
  type CurvatureProblem,
  requireBatches,
  writeBatch,
} from './batch-products.js';
import { notFinite } from './checks.js';
import { headRoot } from './head-root.js';
import {
  blockVectors,
  factorBytes,
  type KfacBlock,
  secondMoments,
  type TimeTreatment,
  vectorCount,
} from './kfac-blocks.js';
import { precisionOf } from './precision.js';
import { drawVectors, SEED } from './random-vectors.js';
import type { VectorSpace } from './vector-space.js';

/**
 * What flows back. `exact` (KFLR: Botev, Ritter and Barber 2017): every column of the root of the head's
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

/** How the factors of a pass join those that are there: kept * left + fresh * of the pass, and right with its share. */
export interface Join {
  readonly kept: number;
  readonly fresh: number;
  /** Of each block: what the sum of right right' counts. */
  readonly shares: readonly number[];
}

/** The program of batches of one shape. */
interface FactorRun {
  readonly executable: Executable;
  readonly tensors: Tensors;
  readonly blocks: readonly KfacBlock[];
  /** Vectors of each block. */
  readonly counts: readonly number[];
  /** Passes until everything has flowed back once; of what is `sampled`, 1. */
  readonly passes: number;
  readonly output: Shape;
}

/** The factors of a model, gathered pass by pass. Blocks and tensors are there when the first batch is prepared. */
export class KfacFactors implements Disposable {
  #blocks: readonly KfacBlock[] = [];
  #tensors: readonly FactorTensors[] = [];
  readonly #scope = new Scope();
  readonly #runs = new Map<string, Promise<FactorRun>>();
  readonly #source: KfacSource;
  readonly #time: TimeTreatment;
  readonly #seed: number;

  /** theta [P] is read at every pass. The caller's. @throws KronogradError OPTION */
  constructor(
    private readonly space: VectorSpace,
    private readonly model: Model,
    private readonly theta: Tensor,
    { source = 'sampled', time = 'expand', seed = 0 }: Omit<KfacOptions, 'draws'> = {},
  ) {
    [this.#source, this.#time, this.#seed] = [source, time, requireInteger(seed, 'seed', SEED)];
  }

  get blocks(): readonly KfacBlock[] {
    return this.#blocks;
  }

  /** Of each block. */
  get tensors(): readonly FactorTensors[] {
    return this.#tensors;
  }

  /** Compiles what batches of that shape need, once. @throws KronogradError PROGRAM for a parameter without factors, MEMORY */
  prepare({ steps, samples }: BatchSizes): Promise<FactorRun> {
    const key = `${steps} ${samples}`;
    let run = this.#runs.get(key);
    if (run === undefined) this.#runs.set(key, (run = this.#compile({ steps, samples })));
    return run;
  }

  async #compile(sizes: BatchSizes): Promise<FactorRun> {
    const { space, model } = this;
    const { program, blocks, output, counts } = factorProgram(model, sizes, this.#source, this.#time);
    if (this.#tensors.length === 0) {
      requireRoomForFactors(space, blocks);
      this.#blocks = blocks;
      this.#tensors = factorTensors(space, blocks, this.#scope);
    }
    const shared = ['theta', ...Object.keys(named(this.tensors))];
    const tensors = programTensors(space.backend, program, this.#scope, shared);
    const executable = this.#scope.own(await space.backend.compile(program));
    const passes = this.#source === 'exact' ? columnCount(output) : 1;
    return { executable, tensors, blocks, counts, passes, output };
  }

  /**
   * Joins in one pass over a batch, its loss times its weight times `scale`: of what is `exact` the column of that number,
   * of what is `sampled` the draw.
   */
  async add(batch: CurvatureBatch, pass: number, { kept, fresh, shares }: Join, scale = 1): Promise<void> {
    const { executable, tensors, output } = await this.prepare(batch);
    const { space, theta } = this;
    writeBatch(this.model, batch, tensors);
    tensors.scale!.write([Math.sqrt(batch.weight * scale)]);
    tensors.join!.write([kept, fresh, ...shares]);
    if (this.#source === 'exact') tensors.probe!.write(columnIndicator(output, pass));
    if (this.#source === 'sampled')
      await drawVectors(space, tensors.probe!, 'signs', { seed: this.#seed, draw: pass });
    executable.run({ ...tensors, ...named(this.tensors), theta });
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/**
 * The factors of a problem: sums over its batches, and over the passes or draws of each.
 * @throws KronogradError DATA, SHAPE for the batches, PROGRAM for a parameter without factors, OPTION, MEMORY, DIVERGED for
 * factors that are not finite, as where the loss is not
 */
export async function gatherFactors(
  space: VectorSpace,
  problem: CurvatureProblem,
  { draws = 1, ...options }: KfacOptions,
): Promise<KfacFactors> {
  requireBatches(problem, 'K-FAC');
  const { batches, model, theta } = problem;
  const repeats = options.source === 'exact' || options.source === 'empirical' ? 1 : draws;
  requireInteger(draws, 'draws', { min: 1 });
  const factors = new KfacFactors(space, model, theta, options);
  try {
    const runs = await Promise.all(batches.map((batch) => factors.prepare(batch)));
    // What flowed forwards is met in every pass again.
    const shares = factors.blocks.map(
      (_, i) => 1 / runs.reduce((sum, { counts, passes }) => sum + counts[i]! * passes * repeats, 0),
    );
    for (const [i, batch] of batches.entries())
      for (let pass = 0; pass < runs[i]!.passes * repeats; pass++) {
        const index = options.source === 'exact' ? pass : pass * batches.length + i;
        await factors.add(batch, index, { kept: 1, fresh: 1, shares }, 1 / repeats);
      }
    for (const factor of Object.values(named(factors.tensors)))
      if (!Number.isFinite(await space.dot(factor, factor)))
        throw notFinite('a Kronecker factor, or its norm, is', 'K-FAC');
    return factors;
  } catch (error) {
    factors[Symbol.dispose]();
    throw error;
  }
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

type BatchSizes = Pick<CurvatureBatch, 'steps' | 'samples'>;

/** Joins into the factors of each block those of one batch, for what flows back from one `probe`. */
function factorProgram(
  model: Model,
  { steps, samples }: BatchSizes,
  source: KfacSource,
  time: TimeTreatment,
) {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { head } = batchForward(on, model, theta, { steps, samples });
  const { shape } = head.output.type;
  const root =
    source === 'empirical' ? rowScores(on, head) : headRoot(on, head, on.input('probe', float(...shape)));
  const scale = on.input('scale', float(1));
  const flow = { theta, output: head.output, adjoint: on.mul(root, scale) };
  const all = blockVectors(on, model.parameters, flow, { time, samples });
  const packed = on.input('join', float(2 + all.length));
  const [kept, fresh, ...shares] = on.split(packed, 0, 2 + all.length).map((v) => on.reshape(v, []));
  const joined = all.map((vectors, i) => {
    const moments = secondMoments(on, vectors);
    const join = (name: string, value: Value, share: Value) =>
      on.add(on.mul(on.input(name, value.type), kept!), on.mul(value, share));
    return {
      left: join(`left.${i}`, moments.left, fresh!),
      right: join(`right.${i}`, moments.right, shares[i]!),
    };
  });
  const updates = Object.entries(named(joined)).map(([name, value]) => [name, { value, updates: name }]);
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
  const largest = Math.max(...blocks.map(({ left, right }) => bytes * Math.max(sizeOf(left), sizeOf(right))));
  if (needed <= total && largest <= buffer) return;
  const limit =
    largest > buffer ? `one can have ${mebibytes(buffer)}` : `there is room for ${mebibytes(total)}`;
  throw new KronogradError(
    'MEMORY',
    `the Kronecker factors need ${mebibytes(needed)}, the largest ${mebibytes(largest)}; ${limit}`,
    {
      where: backend.description,
      fix: 'use fewer hidden units, or what needs no factors: gaussNewtonOperator, and conjugate gradients for its inverse',
    },
  );
}
