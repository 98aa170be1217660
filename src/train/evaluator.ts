/** The loss of a model on a whole text, with the state carried through it. */
import type { Backend, Executable, Tensor } from '../backend/backend.js';
import { programTensors, resetState, type Tensors } from '../backend/program-tensors.js';
import { TextStream } from '../data/batches.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import type { LanguageModel } from '../model/language-model.js';
import { evaluation } from './step-program.js';
import type { DataEvaluator } from './training-data.js';

/** The largest batch and unroll to use. */
export interface EvaluationSizes {
  readonly batch: number;
  readonly unroll: number;
}

/** A stream of the text shall have so many full unrolls: each starts without knowing what came before it. */
const UNROLLS_PER_STREAM = 8;

/** Losses that may wait to be read. */
const READS_IN_FLIGHT = 32;

/**
 * How a text is cut for evaluation: into as many streams as there is room for, each in equal chunks that are as
 * long as divides it best. All but the fewer than batch * chunks characters at the end are counted, and a text of
 * two characters is enough.
 */
export function evaluationSizes(length: number, largest: EvaluationSizes): EvaluationSizes {
  const predictions = length - 1;
  const streams = Math.floor(predictions / (UNROLLS_PER_STREAM * largest.unroll));
  const batch = Math.min(largest.batch, Math.max(1, streams));
  const streamLength = Math.floor(predictions / batch);
  const chunks = Math.ceil(streamLength / largest.unroll);
  return { batch, unroll: Math.floor(streamLength / chunks) };
}

export class Evaluator implements DataEvaluator<Int32Array> {
  readonly #scope = new Scope();
  readonly #backend: Backend;
  readonly #model: LanguageModel;
  readonly #largest: EvaluationSizes;
  /** What was compiled, for texts that are cut alike. */
  readonly #compiled = new Map<string, { executable: Executable; tensors: Tensors }>();

  constructor(backend: Backend, model: LanguageModel, largest: EvaluationSizes) {
    this.#backend = backend;
    this.#model = model;
    this.#largest = largest;
  }

  /**
   * The mean loss, in nats per character, of predicting each character of `ids` from those before it, under the
   * parameters in `theta`. The state starts at zero for each of the streams that the text is cut into.
   * @throws KronogradError TEXT for fewer than two characters, MEMORY
   */
  async loss(theta: Tensor, ids: Int32Array): Promise<number> {
    if (ids.length < 2)
      throw new KronogradError('TEXT', `a text of ${ids.length} characters has nothing to predict`, {
        where: 'evaluation',
        fix: 'give a text of at least 2 characters',
      });
    const stream = new TextStream(ids, evaluationSizes(ids.length, this.#largest));
    const { executable, tensors } = await this.#compile(stream);
    resetState(tensors);
    let total = 0;
    let reads: Promise<number>[] = [];
    for await (const { inputs, targets } of stream.epoch()) {
      tensors.characters!.write(inputs);
      tensors.targets!.write(targets);
      executable.run({ ...tensors, theta });
      const read = tensors.loss!.read().then(([loss]) => loss!);
      // Awaited below with the others; should a run throw before that, it must not count as unhandled.
      read.catch(() => {});
      reads.push(read);
      if (reads.length < READS_IN_FLIGHT) continue;
      total += sum(await Promise.all(reads));
      reads = [];
    }
    return (total + sum(await Promise.all(reads))) / stream.batchesPerEpoch;
  }

  async #compile({ batch, unroll }: EvaluationSizes) {
    const key = `${batch} ${unroll}`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const program = evaluation(this.#model, batch, unroll);
      const executable = this.#scope.own(await this.#backend.compile(program));
      compiled = { executable, tensors: programTensors(this.#backend, program, this.#scope, ['theta']) };
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
