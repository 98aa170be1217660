/** The mean loss of a model on a finite set of sequences, and how many classes it gets right. */
import type { Backend, Tensor } from '../backend/backend.js';
import { resetState } from '../backend/program-tensors.js';
import { bucketLengths } from '../data/buckets.js';
import { type SequenceParts, sequenceBatches } from '../data/segments.js';
import type { SequenceShape, SequenceSource } from '../data/sequences.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import type { Model } from '../model/model.js';
import { BucketedProgram } from './bucketed-program.js';
import { sequenceParts } from './sequence-parts.js';
import { evaluation, predictions } from './step-program.js';
import type { DataEvaluator } from './training-data.js';

/** How the sequences are read. */
export interface EvaluatedBatches extends Partial<SequenceParts> {
  /** r */
  readonly batch: number;
}

export class SequenceEvaluator implements DataEvaluator<SequenceSource> {
  readonly #scope = new Scope();
  readonly #backend: Backend;
  readonly #model: Model;
  readonly #batch: number;
  readonly #parts: SequenceParts;
  /** By what they compute and T. */
  readonly #programs = new Map<string, BucketedProgram>();

  /** Of whole sequences unless given. */
  constructor(backend: Backend, model: Model, { batch, segmentLength = 0, lossSteps }: EvaluatedBatches) {
    this.#backend = backend;
    this.#model = model;
    this.#batch = batch;
    this.#parts = { segmentLength, ...(lossSteps && { lossSteps }) };
  }

  /**
   * Over all targets of all sequences, each counting the same.
   * @throws KronogradError MEMORY, SHAPE for lengths that vary where the model has been made for one
   */
  async loss(theta: Tensor, source: SequenceSource): Promise<number> {
    let total = 0;
    let targets = 0;
    for await (const { batch, outputs } of this.#run(evaluation, theta, source)) {
      const [loss] = await outputs.loss!.read();
      total += loss! * batch.targetCount;
      targets += batch.targetCount;
    }
    return total / targets;
  }

  /**
   * The share of all targets, which are classes, that are the one the model finds most likely.
   * @throws KronogradError as `loss`
   */
  async accuracy(theta: Tensor, source: SequenceSource): Promise<number> {
    const classes = source.target.size;
    let right = 0;
    let targets = 0;
    for await (const { batch, outputs } of this.#run(predictions, theta, source)) {
      const scores = await outputs.prediction!.read();
      for (const [row, weight] of batch.weight.entries()) {
        if (weight === 0) continue;
        const own = scores.subarray(row * classes, (row + 1) * classes);
        if (own.indexOf(Math.max(...own)) === batch.targets[row]) right += 1;
      }
      targets += batch.targetCount;
    }
    return right / targets;
  }

  /** Each batch of the source, and the tensors behind it. */
  async *#run(make: typeof evaluation, theta: Tensor, source: SequenceSource) {
    const r = this.#batch;
    const stream = sequenceBatches(source, { batch: r, remainder: 'keep' }, this.#parts);
    const { shape } = stream;
    const masked = 'mask' in this.#model.batchTypes(shape.steps, r);
    if (shape.masked && !masked)
      throw new KronogradError('SHAPE', 'these sequences end early, and the model knows of no mask', {
        where: 'evaluation',
        fix: 'give sequences of one length, or train on sequences of several',
      });
    const programs = this.#programOf(make, shape);
    for await (const batch of stream.epoch()) {
      const { length, executable, tensors } = await programs.prepare(batch.longest);
      if (batch.resetsState) resetState(tensors);
      const parts = sequenceParts(batch, { ...shape, masked }, length);
      for (const [name, numbers] of Object.entries(parts)) tensors[name]?.write(numbers);
      executable.run({ ...tensors, theta });
      yield { batch, outputs: tensors };
    }
  }

  #programOf(make: typeof evaluation, { steps, masked }: SequenceShape): BucketedProgram {
    const key = `${make.name} ${steps} ${masked}`;
    let program = this.#programs.get(key);
    if (program === undefined) {
      const lengths = masked ? bucketLengths(steps) : [steps];
      const at = (length: number) => make(this.#model, this.#batch, length);
      program = this.#scope.own(new BucketedProgram(this.#backend, lengths, at, ['theta']));
      this.#programs.set(key, program);
    }
    return program;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
