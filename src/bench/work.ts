/** What a benchmark times: a program with its data, and the same work as a naive loop. */
import type { Tensor } from '../backend/backend.js';
import type { Program } from '../program/program.js';
import type { Precision } from '../train/step-program.js';
import type { Workload } from './workload.js';

export type Tensors = Readonly<Record<string, Tensor>>;

export interface Work {
  /** `lstm`, `gemm`, `rank-rt`. */
  readonly name: string;
  readonly workload: string;
  readonly description: string;
  /** What a result has to state for its times to mean something. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Tokens of a step; null where the work is not on text. */
  readonly tokens: number | null;
  readonly program: Program;
  /** Of the products; float32 unless given. */
  readonly precision?: Precision;
  /** The same in mixed precision, to be timed beside it; absent unless asked for. */
  readonly mixed?: Work;
  /** The same for another batch; absent where there is none. */
  readonly atBatch?: (batch: number) => Program;
  /** Fills the tensors, which are zero. */
  readonly load: (tensors: Tensors) => void;
  /** What changes from step to step; n = 0, 1, ... */
  readonly beforeStep?: (tensors: Tensors, n: number) => void;
  /** The loss of step n; absent where there is none. */
  readonly loss?: (tensors: Tensors, n: number) => Promise<number>;
  /**
   * The sizes of a training step of the reference LSTM, which other engines can do too; absent for anything
   * else.
   */
  readonly reference?: Workload;
  /**
   * A step of the naive loop with its own copy of the data, returning the loss where there is one; absent
   * where nobody has written it.
   */
  readonly naive?: () => () => number | null;
}
