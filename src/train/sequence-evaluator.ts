/** The mean loss of a model on a finite set of sequences. */
import type { Backend, Executable, Tensor } from '../backend/backend.js';
import { type SequenceSource, SequenceStream } from '../data/sequences.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import { programTensors, type Tensors } from './program-tensors.js';
import { sequenceParts } from './sequence-parts.js';
import { evaluation } from './step-program.js';
import type { DataEvaluator } from './training-data.js';

export class SequenceEvaluator implements DataEvaluator<SequenceSource> {
  readonly #scope = new Scope();
  readonly #backend: Backend;
  readonly #model: Model;
  readonly #batch: number;
  #compiled: { readonly executable: Executable; readonly tensors: Tensors } | undefined;

  constructor(backend: Backend, model: Model, batch: number) {
    this.#backend = backend;
    this.#model = model;
    this.#batch = batch;
  }

  /** Over all targets of all sequences, each counting the same. @throws KronogradError MEMORY */
  async loss(theta: Tensor, source: SequenceSource): Promise<number> {
    const stream = new SequenceStream(source, { batch: this.#batch, remainder: 'keep' });
    const { executable, tensors } = await this.#compile(source.steps);
    let total = 0;
    let targets = 0;
    for await (const batch of stream.epoch()) {
      for (const [name, numbers] of Object.entries(sequenceParts(batch))) tensors[name]!.write(numbers);
      executable.run({ ...tensors, theta });
      const [loss] = await tensors.loss!.read();
      total += loss! * batch.targetCount;
      targets += batch.targetCount;
    }
    return total / targets;
  }

  async #compile(steps: number) {
    if (this.#compiled === undefined) {
      const program = evaluation(this.#model, this.#batch, steps);
      const executable = this.#scope.own(await this.#backend.compile(program));
      const tensors = programTensors(this.#backend, program, this.#scope, ['theta']);
      this.#compiled = { executable, tensors };
    }
    return this.#compiled;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
