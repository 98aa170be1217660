/** The mean loss of a model on a finite set of sequences, and how many classes it gets right. */
import type { Backend, Executable, Tensor } from '../backend/backend.js';
import { programTensors, type Tensors } from '../backend/program-tensors.js';
import { type SequenceSource, SequenceStream } from '../data/sequences.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import { sequenceParts } from './sequence-parts.js';
import { evaluation, predictions } from './step-program.js';
import type { DataEvaluator } from './training-data.js';

export class SequenceEvaluator implements DataEvaluator<SequenceSource> {
  readonly #scope = new Scope();
  readonly #backend: Backend;
  readonly #model: Model;
  readonly #batch: number;
  readonly #compiled = new Map<typeof evaluation, { executable: Executable; tensors: Tensors }>();

  constructor(backend: Backend, model: Model, batch: number) {
    this.#backend = backend;
    this.#model = model;
    this.#batch = batch;
  }

  /** Over all targets of all sequences, each counting the same. @throws KronogradError MEMORY */
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
   * @throws KronogradError MEMORY
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
    const stream = new SequenceStream(source, { batch: this.#batch, remainder: 'keep' });
    const { executable, tensors } = await this.#compile(make, source.steps);
    for await (const batch of stream.epoch()) {
      for (const [name, numbers] of Object.entries(sequenceParts(batch))) tensors[name]?.write(numbers);
      executable.run({ ...tensors, theta });
      yield { batch, outputs: tensors };
    }
  }

  async #compile(make: typeof evaluation, steps: number) {
    const compiled = this.#compiled.get(make);
    if (compiled !== undefined) return compiled;
    const program = make(this.#model, this.#batch, steps);
    const executable = this.#scope.own(await this.#backend.compile(program));
    const fresh = { executable, tensors: programTensors(this.#backend, program, this.#scope, ['theta']) };
    this.#compiled.set(make, fresh);
    return fresh;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
