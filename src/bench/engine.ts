/** This engine as a contender, on any of its backends. */
import type { Executable } from '../backend/backend.js';
import { programTensors } from '../backend/program-tensors.js';
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { Scope } from '../dispose.js';
import type { Precision } from '../train/step-program.js';
import { type BenchBackend, scheduleOn } from './backends.js';
import { type Contender, type ContenderFacts, ownPeakRssBytes } from './contender.js';
import { requireFit } from './fit.js';
import { type Features, placeOf } from './place.js';
import type { Tensors, Work } from './work.js';

export class EngineContender implements Contender {
  readonly engine = 'kronograd';
  readonly backend: string;
  readonly adapter: string;
  readonly features: Features | null;
  readonly precision: Precision;
  readonly facts: ContenderFacts;
  readonly #backend: BenchBackend;
  readonly #work: Work;
  readonly #executable: Executable;
  readonly #tensors: Tensors;
  readonly #scope: Scope;
  #steps: number;

  private constructor(
    backend: BenchBackend,
    work: Work,
    bound: { executable: Executable; tensors: Tensors; scope: Scope },
    facts: ContenderFacts,
  ) {
    this.#backend = backend;
    this.#work = work;
    this.#executable = bound.executable;
    this.#tensors = bound.tensors;
    this.#scope = bound.scope;
    this.#steps = 1;
    ({ backend: this.backend, adapter: this.adapter, features: this.features } = placeOf(backend));
    this.precision = work.precision ?? 'float32';
    this.facts = facts;
  }

  /**
   * Compiles the work and does its first step.
   * @param begun When the time to the first step begins, on the clock of `performance.now`.
   * @throws KronogradError MEMORY when it does not fit, with the numbers.
   */
  static async create(
    backend: BenchBackend,
    work: Work,
    begun: { readonly at: number; readonly from: ContenderFacts['firstStepFrom'] },
  ): Promise<EngineContender> {
    const plan = scheduleOn(backend, work.program);
    requireFit(backend, work, plan);
    const scope = new Scope();
    try {
      const executable = scope.own(await backend.compileSchedule(plan));
      const tensors = programTensors(backend, work.program, scope);
      work.load(tensors);
      const submits = countSubmits(backend, () => {
        work.beforeStep?.(tensors, 0);
        executable.run(tensors);
      });
      await backend.finish();
      const firstStepMs = performance.now() - begun.at;
      const { dispatches, arenaBytes } = executable;
      const facts = { dispatches, submits, arenaBytes, firstStepMs, firstStepFrom: begun.from };
      return new EngineContender(backend, work, { executable, tensors, scope }, facts);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  async run(steps: number): Promise<number> {
    const begin = performance.now();
    for (let n = 0; n < steps; n++) {
      this.#work.beforeStep?.(this.#tensors, this.#steps++);
      this.#executable.run(this.#tensors);
    }
    await this.#backend.finish();
    return performance.now() - begin;
  }

  async loss(): Promise<number | null> {
    return (await this.#work.loss?.(this.#tensors, this.#steps - 1)) ?? null;
  }

  peakRssBytes(): Promise<number> {
    return ownPeakRssBytes();
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** Submits to the GPU's queue while something is done; 0 without a GPU. */
function countSubmits(backend: BenchBackend, work: () => void): number {
  if (!(backend instanceof WebGpuBackend)) {
    work();
    return 0;
  }
  const { queue } = backend.device.gpu;
  const submit = queue.submit;
  let count = 0;
  queue.submit = (commands) => {
    count++;
    return submit.call(queue, commands);
  };
  try {
    work();
  } finally {
    queue.submit = submit;
  }
  return count;
}
